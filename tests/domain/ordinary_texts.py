"""What stands in logs, labels, events and queries every day, and is no secret, however much it may look like one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
LINES = r"""
2 of 3 replicas ready in namespace password-reset
level=info msg="request done" path=/v1/forecast status=200 duration_ms=41 trace_id=4bf92f3577b34da6a3ce929d0e0e4736
level=warn msg="slow query" db=orders rows=1200 duration=2.3s user=app
level=error msg="token expired" user=ann
level=info msg="token refreshed" ttl=3600 expires_in=3600
level=error msg="invalid token" error="token is malformed: token contains an invalid number of segments"
level=info component=auth msg="login ok" user=ann method=password
auth: method=oidc issuer=https://idp.example result=ok
password authentication failed for user "app"
FATAL:  password authentication failed for user "app"
FATAL: no pg_hba.conf entry for host "10.0.0.7", user "app", database "shop", no encryption
ERROR 1045 (28000): Access denied for user 'app'@'10.0.0.7' (using password: YES)
ERROR 1045 (28000): Access denied for user 'app'@'10.0.0.7' (using password: NO)
ERROR: duplicate key value violates unique constraint "users_pkey"
DETAIL: Key (email)=(ann@shop.example) already exists.
ERROR: insert or update on table "orders" violates foreign key constraint "orders_customer_id_fkey"
ERROR: column "password" of relation "users" does not exist
ERROR: relation "auth_token" does not exist at character 15
ERROR:  syntax error at or near "password"
SELECT id, token_count FROM usage WHERE key = 'daily' AND kind = 'tokens'
WRONGPASS invalid username-password pair or user is disabled.
NOAUTH Authentication required.
(error) ERR AUTH <password> called without any password configured for the default user
Enter password:
Password:
password: required
password: must contain at least 8 characters
"password": "must be at least 12 characters"
{"field": "password", "error": "required"}
password=***** user=app
password=<redacted> user=app
password: ${DB_PASSWORD}
password: "{{ .Values.db.password }}"
password=$(cat /run/secrets/db)
PGPASSWORD=$PGPASSWORD psql
passwordSecretRef: {name: db-credentials, key: password}
DB_PASSWORD:  <set to the key 'password' in secret 'db-credentials'>  Optional: false
secretName: checkout-tls
secret: checkout-tls
secretKeyRef: {name: db, key: password}
imagePullSecrets: [{name: registry-pull}]
tokenSecretRef: github-token
existingSecret: grafana-admin-credentials
credentials_file: /etc/prometheus/token
bearer_token_file: /var/run/secrets/kubernetes.io/serviceaccount/token
password_file: /run/secrets/db_password
private_key_path=/etc/ssl/private/server.key
ssl_key=/etc/nginx/ssl/server.key
--service-account-key-file=/etc/kubernetes/pki/sa.pub
--service-account-signing-key-file=/etc/kubernetes/pki/sa.key
--authorization-mode=Node,RBAC
--tls-private-key-file=/etc/kubernetes/pki/apiserver.key
--token-ttl=24h0m0s
--kubeconfig=/etc/kubernetes/scheduler.conf --authentication-kubeconfig=/etc/kubernetes/scheduler.conf
kubectl -n shop create secret generic db --from-file=./password.txt
kubectl get secret default-token-x7k2p -n shop
MountVolume.SetUp failed for volume "tls" : secret "checkout-tls" not found
MountVolume.SetUp failed for volume "kube-api-access-x7k2p" : object "shop"/"kube-root-ca.crt" not registered
Error: couldn't find key password in Secret shop/db-credentials
Warning  FailedMount  2m (x9 over 10m)  kubelet  MountVolume.SetUp failed for volume "creds" : secret "db-creds-v2" not found
Warning  BackOff  1m (x20 over 5m)  kubelet  Back-off restarting failed container app in pod web-6d4cf56db6-x7k2p_shop(0f3b1a52-9c1e-4f5d-8f1a-3c2b1d4e5f60)
Warning  Unhealthy  kubelet  Readiness probe failed: HTTP probe failed with statuscode: 503
Warning  FailedScheduling  default-scheduler  0/6 nodes are available: 3 Insufficient cpu, 3 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }.
Normal  Pulled  kubelet  Successfully pulled image "registry.example/shop/web:v1.42.0" in 2.3s
Normal  Scheduled  default-scheduler  Successfully assigned shop/web-6d4cf56db6-x7k2p to node-7
image: registry.example:5000/shop/web@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
imageID: docker-pullable://registry.example/shop/web@sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
docker://4e38e38c8ce0b8d9041a9c4fefe786631d1416225e13b0bfe8cfa2321aec4bba
sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
commit 3bcde9b1f0a4c2d5e6f708192a3b4c5d6e7f8091 by ann: rotate the token in staging
git checkout 423f152
etag="d41d8cd98f00b204e9800998ecf8427e" size=0
x-request-id: 0f3b1a52-9c1e-4f5d-8f1a-3c2b1d4e5f60
traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
uid=0f3b1a52-9c1e-4f5d-8f1a-3c2b1d4e5f60 pod=web-6d4cf56db6-x7k2p
pod-template-hash: 6d4cf56db6
controller-revision-hash: 7c9b8d6f5d
kubernetes.io/config.hash: 7c9b8d6f5d4e3f2a1b0c9d8e7f6a5b4c
cache key=user:42:profile hit=true
cache_key=forecast:v7:2026-11-30 ttl=60
routing_key=orders.created exchange=shop
partition_key=customer-42 shard=7
idempotency_key=ord-2026-11-30-0042
primary_key=id sort_key=created_at
groupKey="{}:{alertname=\"HighLatency\"}"
consumer group=checkout topic=orders partition=3 offset=120934 key=null
kafka: message key=42 too large
next_page_token=
prompt_tokens=1200 completion_tokens=310 max_tokens=4096 total_tokens=1510
tokens: 120000
tokens_per_second=41.2 tokenizer=cl100k
rate limit: tokens=0 capacity=100 refill=10
x-ratelimit-remaining-tokens: 149984
author=ann authority=web.shop.svc.cluster.local
sig=SIGTERM signal: killed
signature=valid signer=ci
session_id=42 user=ann
session closed for user root
pam_unix(sshd:session): session opened for user ann by (uid=0)
Accepted publickey for ann from 10.0.0.7 port 52114 ssh2: ED25519 SHA256:Xo3tV8dVnZ4W8l7mI5c0bN4qk2j1u7R9sPz6YqT0aBc
Failed password for invalid user admin from 10.0.0.9 port 40022 ssh2
PWD=/srv/app OLDPWD=/srv HOME=/home/app
cwd=/srv/app pwd=/srv/app
PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8
GOOGLE_APPLICATION_CREDENTIALS=/var/secrets/google/key.json
SSH_AUTH_SOCK=/tmp/ssh-agent.sock
tests: pass=120 fail=0 skip=3
smoke test pass: 12 of 12
proxy_pass http://upstream_checkout;
bypass=true compass=north passenger=7
keyboard=de monkey=1 turkey=2 hockey=3
basic checks passed; bearer of bad news
basic authentication is off for this route
Authorization: denied for user ann
authorization: required
authorization failed: user ann may not list pods
authorization policy: allow-all
cookie: none
cookies accepted: yes
http://prometheus:9090/graph?g0.expr=up&g0.tab=1
https://grafana.example/d/abc123/overview?orgId=1&from=now-1h&to=now&var-service=web
https://grafana.example:3000/d/abc?var-mail=ops@shop.example
http://web.shop.svc.cluster.local:8080/healthz
http://[fd00::7]:9090/-/ready
https://runbooks.example/forecast-latency-high#mitigation
https://github.com/acme/shop/pull/42/files/4bf92f3577b34da6a3ce929d0e0e4736
git@github.com:acme/shop.git
ssh://git@git.example:22/acme/shop.git
https://hooks.example/services/alert
s3://backups/2026-11-30/orders.parquet
redis://cache:6379/0
postgresql://db.internal:5432/shop?sslmode=require
amqp://mq:5672//
ops@shop.example wrote: the password was rotated yesterday
the secret is out; the token bucket is empty
please reset the password of the shared account
A rotated password was not picked up by the connection pool
Use a secret store. Tokens belong there.
asks on-call, sk-1; SG-12 and SK-42 are tickets
task-sk-checkout-service-deployment-canary
risk-assessment-of-the-checkout-service-in-production
disk-usage-of-the-checkout-database-is-high
us-east-1a key-value store dp.internal xapp ghp
hf_transfer enabled; npm_config_registry is set; re_path
npm ERR! code E401
npm ERR! Incorrect or missing password.
x509: certificate has expired or is not yet valid: current time 2026-11-30T03:00:00Z is after 2026-11-29T23:59:59Z
-----BEGIN CERTIFICATE-----
serial=0A:1B:2C:3D:4E:5F subject=CN=web.shop.svc
tls: private key does not match public key
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx8Vt0 ann@laptop
public_key=ssh-rsa-2048
File "/app/shop/db.py", line 42, in connect
    conn = psycopg.connect(host=host, user=user, password=password)
    self.client = Client(token=self.settings.token, secret=settings.client_secret)
    password = os.environ["DB_PASSWORD"]
    return hmac.compare_digest(token, expected_token)
    def login(self, user: str, password: str, token: str | None = None) -> Session:
KeyError: 'DB_PASSWORD'
psycopg.OperationalError: connection to server at "db" (10.0.0.5), port 5432 failed: FATAL: password authentication failed for user "app"
Caused by: java.sql.SQLException: ORA-01017: invalid username/password; logon denied
	at com.acme.auth.TokenService.verify(TokenService.java:142)
	at org.springframework.security.authentication.ProviderManager.authenticate(ProviderManager.java:182)
panic: runtime error: invalid memory address or nil pointer dereference [signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x4f1c2d]
goroutine 1 [running]: main.main() /app/main.go:42 +0x1d
java.lang.IllegalArgumentException: Could not resolve placeholder 'db.password' in value "${db.password}"
botocore.exceptions.ClientError: An error occurred (InvalidToken) when calling the ListObjects operation: The provided token is malformed or otherwise invalid.
botocore.exceptions.ClientError: An error occurred (SignatureDoesNotMatch) when calling the PutObject operation: The request signature we calculated does not match
AccessDenied: User: arn:aws:sts::123456789012:assumed-role/shop-web/i-0abc12345def67890 is not authorized to perform: secretsmanager:GetSecretValue
arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/db-AbCdEf
vault: permission denied for path secret/data/shop/db
vault: Error reading secret/data/shop: Code: 403. Errors: * permission denied
lease_id=database/creds/shop/8f1a ttl=1h
kube_secret_info{namespace="shop",secret="checkout-tls"}
kube_secret_labels{secret=~"sh.helm.release.v1.*"}
rate(token_requests_total{token_type="refresh"}[5m]) > 3
sum by (key) (rate(cache_misses_total{key!=""}[5m]))
histogram_quantile(0.99, sum by (le) (rate(auth_request_duration_seconds_bucket{auth="basic"}[5m])))
vault_token_count_by_auth{auth_method="kubernetes"} > 1000
vault_secret_kv_count{mount_point="secret/"}
certmanager_certificate_expiration_timestamp_seconds{exported_namespace="shop",name="web-tls"} - time() < 604800
increase(http_requests_total{path="/password/reset",code=~"5.."}[10m])
label_replace(up, "secret", "$1", "instance", "(.*):.*")
count({__name__=~".*password.*"})
apiserver_authentication_token_cache_request_total{status="hit"}
alertname=KubePodCrashLooping namespace=shop pod=web-6d4cf56db6-x7k2p container=web severity=warning
{"alertname": "TokenBucketEmpty", "service": "auth", "severity": "critical"}
{"labels": {"secret": "checkout-tls", "key": "tls.crt", "token": "refresh"}}
{"kind": "Secret", "name": "db-credentials", "type": "Opaque"}
{"name": "LOG_LEVEL", "value": "debug"}
{"name": "TOKEN_TTL", "value": "3600"}
{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
{"password": null, "token": "", "secret": false}
{"key": "forecast/2026-11-30", "value": 12.5}
model=demand-forecast version=12 alias=champion run_id=4bf92f3577b34da6a3ce929d0e0e4736
mlflow: run 4bf92f3577b34da6a3ce929d0e0e4736 finished, artifact s3://ml/1/4bf92f3577b34da6a3ce929d0e0e4736/artifacts
feature=price_eur nulls=0.12 drift=0.34 threshold=0.1
upgraded chart grafana-7.3.9 to 8.0.0, secret grafana-admin unchanged
helm: release "shop" failed: secrets "sh.helm.release.v1.shop.v42" already exists
Rotated API key of the payment provider at 14:05, no downtime
API key: missing
token: invalid
access token: expired at 2026-11-30T03:00:00Z
Secret key: not found
client_secret: required
License key: not set
2026-11-30T03:00:00.123456Z INFO  pool-1 HikariPool-1 - Added connection org.postgresql.jdbc.PgConnection@4f1c2d3e
10.0.0.7 - - [30/Nov/2026:03:00:00 +0000] "GET /api/v1/token/verify HTTP/1.1" 200 512 "-" "curl/8.5.0"
10.0.0.7 - ann [30/Nov/2026:03:00:00 +0000] "POST /password/reset?step=2 HTTP/1.1" 302 0 "https://shop.example/login" "Mozilla/5.0"
""".strip("\n").splitlines()


def _texts(value: Any) -> Iterator[str]:
    """Every text in JSON, and every label as PromQL writes it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (f'{key}="{inner}"' for key, inner in value.items() if isinstance(inner, str))
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def of_the_repository() -> Iterator[str]:
    """What the lab says and the runbooks, the PromQL of the tests, recorded alerts, the digests of the lock file."""
    for path in sorted((ROOT / "agent/lab").rglob("*.yaml")):
        yield from _texts(yaml.safe_load(path.read_text()))
    for path in sorted((ROOT / "runbooks").rglob("*.md")):
        yield from path.read_text().splitlines()
    yield from (ROOT / "tests/lab/queries.promql").read_text().splitlines()
    yield from _texts(yaml.safe_load((ROOT / "tests/proofs/everyday_queries.yaml").read_text()))
    for folder in ("alertmanager", "drift", "mlflow", "prometheus"):  # what Slack signed holds secrets indeed
        for path in sorted((ROOT / "tests/fixtures" / folder).rglob("*.json")):
            yield from _texts(json.loads(path.read_text()))
    yield from (ROOT / "uv.lock").read_text().splitlines()[:4_000]


def of_rules(folder: Path) -> Iterator[str]:
    """Public alerting rules and alerts, where the shared data is on this machine."""
    yield from _texts(yaml.safe_load((folder / "kube-prometheus.yaml").read_text()))
    for line in (folder / "alerts.jsonl").read_text().splitlines():
        yield from _texts(json.loads(line))
