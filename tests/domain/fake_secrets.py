"""Secrets that are none, in the texts in which tools print real ones: built by code, so that no scanner takes them for real."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable, Iterator

CALM = string.ascii_letters + string.digits
LOWER, UPPER, HEX = string.ascii_lowercase + string.digits, string.ascii_uppercase + string.digits, "0123456789abcdef"
URLSAFE = CALM + "-_"
Make = Callable[[random.Random], str]


def of(alphabet: str, length: int) -> Make:
    """Letters and digits as a generator of keys would draw them: always some of each kind that the alphabet has."""

    def make(dice: random.Random) -> str:
        kinds = [
            kind
            for kind in (string.digits, string.ascii_lowercase, string.ascii_uppercase)
            if set(kind) & set(alphabet)
        ]
        drawn = [dice.choice([sign for sign in kind if sign in alphabet]) for kind in kinds]
        drawn += dice.choices(alphabet, k=length - len(drawn) - 2)
        dice.shuffle(drawn)
        return "".join(
            [
                dice.choice([s for s in alphabet if s.isalnum()]),
                *drawn,
                dice.choice([s for s in alphabet if s.isalnum()]),
            ]
        )

    return make


def word(dice: random.Random) -> str:
    """As people choose a password."""
    return dice.choice(["Sommer", "tr0ub4dor", "Winter", "hunter", "Zebra", "correct", "lantern"]) + dice.choice(
        ["2026!", "_77x", "99", "#42a", "-Xq7", "%9z"]
    )


def phrase(dice: random.Random) -> str:
    return " ".join(dice.sample(["correct", "horse", "battery", "staple", "amber", "violet", "harbour", "lantern"], 4))


def basic(dice: random.Random) -> str:
    return base64.b64encode(f"user:{of(CALM, 14)(dice)}".encode()).decode().rstrip("=")


# what stands in the place of S is the secret
NAMED = """
dbPassword: S
db.password = S
spring.datasource.password=S
PGPASSWORD=S psql -h db -U app
MYSQL_PWD=S mysqldump shop
export REDIS_PASSWORD='S'
REDIS_PASS=S
SMTP_PASS: S
Server=tcp:db,1433;User Id=sa;Pwd=S;Encrypt=yes
Driver={ODBC};UID=sa;PWD=S;
host=db user=app password=S dbname=shop
jdbc:postgresql://db/shop?user=app&password=S&ssl=true
https://api.example/login?pwd=S
{"user": "app", "password": "S"}
{\\"user\\": \\"app\\", \\"password\\": \\"S\\"}
{'user': 'app', 'password': 'S', 'host': 'db'}
{"spring": {"datasource.password": "S"}}
{"name": "DB_PASSWORD", "value": "S"}
- name: DB_PASSWORD\\n  value: S
- name: API_TOKEN\\n  value: "S"
  DB_PASSWORD:   S
password: "S"
password='S'
password => S
:password=>"S"
password := "S"
<password>S</password>
<ns:dbPassword>S</ns:dbPassword>
login failed for app (password=S)
map[host:db password:S user:app]
&Config{Host:db Password:S Port:5432}
Config(host='db', password='S')
--password S --host db
--password=S
--db-password "S"
["--password", "S"]
client_secret=S&grant_type=client_credentials
"clientSecret":"S"
consumer_secret: S
APP_SECRET=S
JWT_SECRET=S
DJANGO_SECRET_KEY=S
SECRET_KEY_BASE=S
secretKey: S
encryption.key=S
SIGNING_KEY=S
api_key=S
apiKey: S
X-Api-Key: S
x-api-key=S
"api-key": "S"
Api Key: S
AccountName=a;AccountKey=S;EndpointSuffix=core
Endpoint=sb://x/;SharedAccessKeyName=root;SharedAccessKey=S
private_key: S
aws_secret_access_key = S
AWS_SECRET_ACCESS_KEY=S
"SecretAccessKey": "S"
aws_session_token=S
access_token=S
"accessToken":"S"
refresh_token: S
id_token=S
auth_token=S
authToken: S
//registry.npmjs.org/:_authToken=S
_auth = S
token: S
token=S
TOKEN=S
"token":"S"
BOT_TOKEN=S
personal access token: S
X-Vault-Token: S
X-Auth-Token: S
X-Amz-Security-Token=S
PRIVATE-TOKEN: S
csrf_token=S
Ocp-Apim-Subscription-Key: S
DATADOG_API_KEY=S
DD-API-KEY: S
client-key-data: S
sas_token=S
webhook_secret: S
passphrase: S
ssh_key_passphrase=S
credentials: S
redis.auth=S
https://blob.example/c?sv=1&sig=S
https://s3.example/x?X-Amz-Credential=AK&X-Amz-Signature=S
https://maps.example/geo?key=S&q=x
https://api.example/x?token=S
https://api.example/x?apikey=S&y=1
https://api.example/x?access_token=S
ALTER USER app WITH PASSWORD 'S';
CREATE USER app IDENTIFIED BY 'S';
SET PASSWORD FOR app = PASSWORD('S')
CREATE ROLE app LOGIN ENCRYPTED PASSWORD 'S'
redis-cli -h r -a S ping
redis-cli -a 'S' --no-auth-warning
mysql -uroot -pS shop
mysqldump -u root -p'S' shop
sshpass -p S ssh host
mongosh mongodb://h --username a -p S
docker login -u ann -p S registry.example
az login --service-principal -u x -p S
curl -u ann:S https://x
curl -H "X-Api-Key: S" https://x
curl --user 'ann:S' https://x
ldapsearch -D cn=a -w S -b dc=x
wget --http-password=S https://x
smbclient //h/s -U ann%S
htpasswd -b file ann S
openssl rsa -passin pass:S -in k
rabbitmqctl add_user ann S
kubectl create secret generic x --from-literal=pw=S
helm upgrade x --set auth.password=S
aws configure set aws_secret_access_key S
vault login S
keytool -storepass S -list
requirepass S
AUTH S
PASS S
the password is S
JSESSIONID=S; path=/
""".strip().splitlines()
HEADERS = """
> Authorization: Bearer S
Authorization: Token S
Authorization: token S
authorization: ApiKey S
"Authorization": "Bearer S"
'authorization': 'Token S'
Proxy-Authorization: Basic S
Authorization: GenieKey S
Authorization: S
Authorization: Splunk S
Authorization=Bearer S
Cookie: sid=S; theme=dark
Set-Cookie: session=S; Path=/; HttpOnly
cookie: a=1; remember_me=S
"Cookie": "id=S"
Authorization: AWS4-HMAC-SHA256 Credential=AK/20261130/eu, SignedHeaders=host, Signature=H
Authorization: Digest username="ann", realm="x", response="H"
""".strip().splitlines()
ADDRESSES = """
postgres://app:S@db.internal:5432/shop
redis://:S@cache:6379/0
https://svc:S@db.internal/x -> 500
amqp://guest:S@mq//
mongodb+srv://app:S@c0.example/x?retryWrites=true
cannot reach "https://ann:S@git.example/a.git"
http://S@git.example/a.git
proxy http://u:S@proxy:3128 refused
""".strip().splitlines()
TOKENS: dict[str, Make] = {
    "AKIA": of(UPPER, 16),
    "ASIA": of(UPPER, 16),
    "ghp_": of(CALM, 36),
    "gho_": of(CALM, 36),
    "ghs_": of(CALM, 36),
    "github_pat_": of(CALM + "_", 60),
    "glpat-": of(CALM, 20),
    "gldt-": of(CALM, 20),
    "glrt-": of(CALM, 20),
    "AIza": of(URLSAFE, 35),
    "ya29.": of(URLSAFE, 60),
    "GOCSPX-": of(URLSAFE, 28),
    "xoxb-": of(CALM + "-", 40),
    "xoxp-": of(CALM + "-", 60),
    "xapp-1-": of(CALM + "-", 60),
    "sk-": of(CALM, 48),
    "sk-proj-": of(URLSAFE, 60),
    "sk-ant-api03-": of(URLSAFE, 90),
    "sk_live_": of(CALM, 24),
    "rk_live_": of(CALM, 24),
    "sk_test_": of(CALM, 24),
    "whsec_": of(CALM, 32),
    "hvs.": of(URLSAFE, 28),
    "hvb.": of(URLSAFE, 60),
    "npm_": of(CALM, 36),
    "pypi-AgEIcHlwaS5vcmc": of(URLSAFE, 80),
    "dckr_pat_": of(URLSAFE, 27),
    "rubygems_": of(HEX, 48),
    "dop_v1_": of(HEX, 64),
    "dapi": of(HEX, 32),
    "tskey-auth-": of(CALM, 30),
    "pul-": of(HEX, 40),
    "dp.pt.": of(CALM, 43),
    "NRAK-": of(UPPER, 27),
    "PMAK-": lambda d: of(HEX, 24)(d) + "-" + of(HEX, 34)(d),
    "key-": of(HEX, 32),
    "SK": of(HEX, 32),
    "shpat_": of(HEX, 32),
    "sq0csp-": of(URLSAFE, 43),
    "ATATT3": of(URLSAFE, 180),
    "ntn_": of(CALM, 46),
    "figd_": of(URLSAFE, 40),
    "hf_": of(CALM, 34),
    "r8_": of(CALM, 37),
    "gsk_": of(CALM, 52),
    "xai-": of(CALM, 80),
    "nvapi-": of(URLSAFE, 60),
    "lin_api_": of(CALM, 40),
    "glc_": of(CALM, 60),
    "AGE-SECRET-KEY-1": of(UPPER, 58),
    "SG.": lambda d: of(URLSAFE, 22)(d) + "." + of(URLSAFE, 43)(d),
    "glsa_": lambda d: of(CALM, 32)(d) + "_" + of(HEX, 8)(d),
    "eyJhbGciOiJIUzI1NiJ9.": lambda d: of(URLSAFE, 40)(d) + "." + of(URLSAFE, 43)(d),
    "$2b$12$": of(CALM, 53),
    "$6$": lambda d: of(CALM, 10)(d) + "$" + of(CALM, 86)(d),
    "EAAB": of(CALM, 120),
    "sbp_": of(HEX, 40),
    "AKCp8": of(CALM, 60),
    "pscale_tkn_": of(URLSAFE, 43),
    "fo1_": of(URLSAFE, 43),
    "sntryu_": of(HEX, 64),
    "xkeysib-": lambda d: of(HEX, 64)(d) + "-" + of(CALM, 16)(d),
}
AROUND = ("charge failed with {}", 'env: {"X": "{}"}', "using {}, retrying", "({})", "token {} rejected\nnext line")
BLOCKS = (
    "RSA PRIVATE KEY",
    "PRIVATE KEY",
    "EC PRIVATE KEY",
    "OPENSSH PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "PGP PRIVATE KEY BLOCK",
    "PGP MESSAGE",
)


def cases(seed: int = 11) -> Iterator[tuple[str, str, str]]:
    """(what it is, the text, the secret that must not be found in it)."""
    dice = random.Random(seed)
    for n, template in enumerate(NAMED):
        template = template.replace("\\n", "\n")
        makes = [of(CALM, 24), of(CALM + "+/=", 40)] if _weak(template) else [of(CALM, 24), word]
        for make in makes:
            secret = make(dice)
            yield (
                f"named {n}: {template}",
                template.replace("S", secret) if template.count("S") == 1 else _last(template, secret),
                secret,
            )
    for n, template in enumerate(HEADERS):
        secret = (
            of(HEX, 64)(dice)
            if "H"
            in template.replace("HMAC-SHA256", "").replace("SignedHeaders", "").replace("HttpOnly", "").split("=")[-1]
            else basic(dice)
            if "Basic" in template
            else of(CALM, 32)(dice)
        )
        yield f"header {n}: {template}", _last(template, secret, "H" if template.endswith(("H", 'H"')) else "S"), secret
    for n, template in enumerate(ADDRESSES):
        for make in (
            of(CALM, 22),
            word,
            lambda d: of(CALM, 8)(d) + "/" + of(CALM, 8)(d),
            lambda d: of(CALM, 8)(d) + "@" + of(CALM, 8)(d),
        ):
            secret = make(dice)
            if ("://S" in template and not secret.isalnum()) or (len(secret) < 20 and "://S" in template):
                continue
            yield f"address {n}: {template}", _last(template, secret.replace("#", "%23")), secret.replace("#", "%23")
    for prefix, make in TOKENS.items():
        secret = prefix + make(dice)
        yield f"token {prefix}", dice.choice(AROUND).replace("{}", secret, 1) if "{}" in AROUND[0] else secret, secret
    for block in BLOCKS:
        body = of(CALM + "+/", 64)(dice)
        whole = f"-----BEGIN {block}-----\n{body}\n-----END {block}-----"
        yield f"block {block}", f"key: {whole} end", body
        yield f"block {block} as JSON", '{"key": "' + whole.replace("\n", "\\n") + '"}', body
        yield f"block {block} cut off", f"found -----BEGIN {block}-----\n{body}", body
    for template in (
        'passphrase="S"',
        'passphrase: "S"',
        "{'passphrase': 'S'}",
        '{"password": "S"}',
        "--passphrase 'S'",
        '\\"password\\": \\"S\\"',
        "mnemonic: S",
        'password="S"',
    ):
        secret = phrase(dice)
        yield f"phrase {template}", template.replace("S", secret), secret.split(" ", 1)[1]
    for template in (
        "login with password=S refused",
        "password=S",
        "Pwd=S;User=sa",
        "https://x/y?a=1&password=S&b=2",
        "--password=S --x",
        "PGPASSWORD=S psql",
    ):
        for sign in ",;&)]}!#@:":
            if sign == "&" and "https" in template:
                continue
            secret = f"Tr0{sign}{of(CALM, 10)(dice)}"
            yield (
                f"sign {sign} in {template}",
                template.replace("S", secret, 1) if template.count("S") == 1 else _last(template, secret),
                secret[4:],
            )


def _weak(template: str) -> bool:
    """Where only what is drawn at random counts."""
    return any(
        word in template
        for word in (
            "oken",
            "TOKEN",
            "uth",
            "AUTH",
            "edential",
            "sig=",
            "ignature",
            "?key=",
            "SESSION",
            "vault login",
            "JWT",
            "data",
        )
    )


def _last(template: str, secret: str, sign: str = "S") -> str:
    """The place of the secret is the last S that stands by itself."""
    import re

    places = [m.start() for m in re.finditer(rf"(?<![A-Za-z]){sign}(?![A-Za-z])|(?<=-p){sign}(?![A-Za-z])", template)]
    assert places, template
    return template[: places[-1]] + secret + template[places[-1] + 1 :]
