"""What credentials look like by themselves: blocks, tokens with a prefix, headers, addresses, commands, statements.

Measured both ways in tests/domain/test_redact.py. The rules of detect-secrets were tried and left: they know a part of these
forms, and those of source code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Form:
    """`what` is written in its place; what group 1 caught, if there is one, stays. The pattern is tried only where one of
    `hints` (lower case) stands: looking for words is a hundred times as fast."""

    what: str
    hints: tuple[str, ...]
    pattern: str
    flags: int = 0

    def hide(self, text: str) -> str:
        pattern = _compiled(self.pattern, self.flags)
        keep = r"\1" if pattern.groups else ""
        return pattern.sub(f"{keep}[redacted: {self.what}]", text)


@cache
def _compiled(pattern: str, flags: int) -> re.Pattern[str]:
    """When it is first needed: all of them together take longer than most commands."""
    return re.compile(pattern, flags)


def _form(what: str, hints: str, pattern: str, flags: int = 0) -> Form:
    return Form(what, tuple(hints.split()), pattern, flags)


_I, _S, _M = re.IGNORECASE, re.DOTALL, re.MULTILINE
_Q = r"(?:\\*[\"'`])?"  # a quote, perhaps of a text within a text
_NEW = r"(?!\[redacted|\$[\w({]|<)"  # not yet taken out, and no placeholder
_B = r"(?<![A-Za-z0-9_-])"  # a token begins here

BLOCKS: Sequence[Form] = (
    _form(
        "private key",
        "-----begin",
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
        _S,
    ),
    _form(
        "PGP message",
        "-----begin pgp",
        r"-----BEGIN PGP (?:MESSAGE|SIGNED MESSAGE|SIGNATURE)-----.*?(?:-----END PGP (?:MESSAGE|SIGNATURE)-----|\Z)",
        _S,
    ),
    _form(
        "private key",
        "---- begin ssh2",
        r"---- BEGIN SSH2 [A-Z ]*PRIVATE KEY ----.*?(?:---- END SSH2 [A-Z ]*PRIVATE KEY ----|\Z)",
        _S,
    ),
    _form("private key", "private-lines:", r"Private-Lines: ?\d+.*?(?:Private-MAC: ?[0-9a-f]+|\Z)", _S),
    _form("private key", "age-secret-key-", r"\bAGE-SECRET-KEY-1[0-9A-Z]{20,}"),
)
WRITTEN: Sequence[Form] = (
    _form("bearer token", "bearer", r"(\bbearer[ \t:]+[\"']?)[A-Za-z0-9._~+/=-]{12,}", _I),
    _form("basic credentials", "basic", r"((?i:\bbasic)[ \t]+)(?=[A-Za-z0-9+/]{0,99}[0-9A-Z])[A-Za-z0-9+/]{12,}={0,2}"),
    _form(  # any other scheme, or none
        "authorization",
        "authorization",
        rf"(\b(?:proxy-)?authorization{_Q}\s?[:=]\s{{0,3}}{_Q}(?:(?!bearer|basic|digest)[a-z][\w-]{{1,30}}[ \t]+(?=[^\s\"'\\,;]{{8}}))?){_NEW}"
        r"(?=[^\s\"'\\]{0,200}[0-9=_])(?!bearer|basic|[a-z]+[\s,;.]|\S+[ \t]+\[redacted: authorization\])[^\s\"'\\,;\[]{8,}",
        _I,
    ),
    _form("authorization", "response=", r"(\bresponse=\\?\"?)[0-9a-f]{32,64}\b"),
    _form(
        "cookie",
        "cookie",
        rf"(\b(?:set-)?cookies?{_Q}\s?[:=]\s{{0,3}}{_Q}){_NEW}(?:[\w.$%!#*+^~|-]+=[^\s;\"',\\]*(?:;[ \t]?)?)+",
        _I,
    ),
    _form(
        "cookie",
        "sessid sessionid connect.sid .aspnet",
        rf"(\b(?:[A-Z]*SESS(?:ION)?ID|connect\.sid|\.AspNet[\w.]*)=){_NEW}[^\s;\"',&\\]{{8,}}",
        _I,
    ),
    # the password of an address, also with a / or an @ in it; what begins with a port is none
    _form(
        "password",
        "://",
        r"(?<=://)(?!\[redacted)[^\s/:@\"'<>\[\]]{0,100}:(?!\d{1,5}(?:[/?#,\s]|$))(?!//|\[redacted)[^\s\"'<>\\]{1,300}(?=@[\w\[])",
    ),
    _form("password", "://", r"(?<=://)(?=[A-Za-z_-]{0,40}\d)(?=[\d_-]{0,40}[A-Za-z])[A-Za-z0-9_-]{20,}(?=@[\w\[])"),
    _form("secret value", "key= code= hmac=", r"([?&](?:key|code|hmac)=)(?=[\w-]{0,60}\d)[A-Za-z0-9_-]{20,}"),
    _form("secret value", "signature=", r"(\bSignature=)[0-9a-fA-F]{32,}"),
    _form("secret value", "redis-cli", rf"(\bredis-cli\b[^\n|;]{{0,300}}?\s(?:-a|--pass)[ =]?{_Q}){_NEW}[^\s\"']+"),
    _form(
        "secret value",
        "mysql mariadb mongo sshpass ldap sqlcmd login bcp zip certutil",
        rf"(\b(?:mysql\w*|mariadb[\w-]*|mongo\w*|sshpass|ldap\w+|sqlcmd|bcp|(?:un)?zip|certutil|(?:docker|helm|podman|skopeo|az|registry|oc)[ \w-]*\blogin)\b[^\n|;]{{0,300}}?\s-[pwP] ?{_Q}){_NEW}(?![-\s])[^\s\"']{{4,}}",
    ),
    _form(
        "secret value",
        "curl wget http etcdctl",
        rf"(\b(?:curl|wget|https?|etcdctl)(?=\s)[^\n|;]{{0,300}}?\s(?:-u|--user|--proxy-user|-a|--auth)[ =]?{_Q}[^\s:\"']+:){_NEW}(?!//)[^\s\"']+",
    ),
    _form(
        "secret value",
        "smbclient rpcclient",
        rf"(\b(?:smbclient|rpcclient)\b[^\n|;]{{0,300}}?\s-U[ =]?{_Q}[^\s%\"']+%){_NEW}[^\s\"']+",
    ),
    _form("secret value", "htpasswd", rf"(\bhtpasswd\b[^\n|;]{{0,300}}?\s-\w*b\w*\s+\S+\s+\S+\s+){_NEW}\S+"),
    _form(
        "secret value", "ssh-keygen", rf"(\bssh-keygen\b[^\n|;]{{0,300}}?\s-[NP] ?{_Q}){_NEW}(?![-\s\"'])[^\s\"']{{4,}}"
    ),
    _form("secret value", "sudo", rf"(\becho\s+{_Q}){_NEW}[^\s\"'|]+(?=[\"']?\s*\|\s*sudo\s+-\w*S)"),
    _form("secret value", "/user:", rf"(\bnet use\b[^\n]{{0,300}}?/user:\S+\s+){_NEW}(?!/)\S{{4,}}", _I),
    _form(  # behind a blank only what nothing else is called: capitals, small letters and digits
        "secret value",
        "password passwd pwd secret token _key",
        rf"((?i:password|passwd|pwd|secret|token|_key)[ \t]+{_Q}){_NEW}(?=[A-Za-z0-9+/=_.!@#$%^*?~-]{{8,}}(?:[\s\"',;)]|$))(?=\S*?[a-z])(?=\S*?[A-Z])(?=\S*?\d)(?![A-Z]?[a-z]+\d*\.)[^\s\"',;)]+",
    ),
    _form("secret value", "password", r"(\b[a-z]+Password\s+[\"'])(?!\[redacted)[^\"'\n]{4,}"),
    _form("secret value", "pass:", rf"(\bpass:){_NEW}(?=[^\s\"']{{0,40}}[\dA-Z])[^\s\"']{{4,}}"),
    _form(
        "secret value",
        "rabbitmqctl",
        rf"(\brabbitmqctl\b[^\n]{{0,300}}?(?:add_user|change_password|authenticate_user)\s+\S+\s+){_NEW}\S+",
    ),
    _form("secret value", "--from-literal", rf"(--from-literal[= ]{_Q}[\w.-]+=){_NEW}[^\s\"']+"),
    _form("secret value", "configure", rf"(\bconfigure set [\w.]*(?:secret|token|key|password)\w*\s+){_NEW}\S{{6,}}"),
    _form("secret value", "vault", rf"(\bvault login\s+(?:token=)?){_NEW}(?!-)\S{{8,}}"),
    _form(
        "secret value",
        "auth requirepass masterauth",
        rf"(^\s*(?:\S+\s+)??(?:\"?AUTH\"?|requirepass|masterauth)\s+\"?){_NEW}(?=[^\s\"']{{0,60}}\d)[^\s\"']{{6,}}",
        _M,
    ),
    _form(
        "secret value",
        "identified password",
        r"(\b(?:identified\s+(?:with\s+\S+\s+)?(?:by|as)(?:\s+password)?|(?:encrypted\s+)?password(?:\s+for\s+\S+)?(?:\s*=\s*password)?)(?:\s*\(\s*|\s+)')(?!\[redacted)(?:[^'\n]|''){3,}",
        _I,
    ),
    _form("secret value", "pass ", r"(^(?:[<>]\s)?PASS )(?!\[redacted)(?=\S{0,40}\d)\S{6,}", _M),
    _form(
        "secret value",
        "passw passphrase",
        rf"(\bpass(?:word|phrase|code)\s+(?:is|was)\s+{_Q}){_NEW}(?=[^\s\"'`]{{0,60}}\d)(?=[^\s\"'`]{{0,60}}[A-Za-z])[^\s\"'`]{{6,}}",
        _I,
    ),
    _form(
        "secret value",
        "phrase mnemonic",
        r"(^\s*[\w.-]*(?:pass[ _-]?phrase|seed[ _-]?phrase|mnemonic):[ \t]+)(?!\[redacted)[a-z]+(?: [a-z]+){3,}$",
        _I | _M,
    ),
    _form(
        "secret value",
        "<",
        r"(<(?:[\w:.-]*(?:password|passwd|passphrase|pwd|secret|token|api-?key|private-?key))>\s*)(?!\[redacted)[^<\s][^<]{3,500}(?=</)",
        _I,
    ),
    _form(  # the environment of a container: {"name": "DB_PASSWORD", "value": …}, or the same as YAML
        "secret value",
        "value",
        rf"(\bname{_Q}\s?[:=]\s?{_Q}[\w.-]*(?:password|passwd|passphrase|_pass|_pwd|pwd|token|secret|_key|apikey){_Q},?(?:\s|\\n){{0,40}}{_Q}value{_Q}\s?[:=]\s?{_Q}){_NEW}(?:(?<=\")[^\"\n\\]{{4,}}|(?<=')[^'\n]{{4,}}|(?<![\"'])[^\s\"'\\,}}]{{4,}})",
        _I,
    ),
)
TOKENS: Sequence[Form] = (
    _form("AWS key", "akia asia abia acca a3t", r"\b(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[0-9A-Z]{16}\b"),
    _form("AWS key", "absk", rf"{_B}ABSK[A-Za-z0-9+/]{{40,}}={{0,2}}"),
    _form(
        "GitHub token",
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})",
    ),
    _form(
        "GitLab token",
        "glpat- gldt- glft- glsoat- glrt- glrtr- glcbt- glptt- glimt- glagent- gloas- gr1348941",
        r"\b(?:gl(?:pat|dt|ft|soat|rtr?|cbt|ptt|imt|agent|oas)-[A-Za-z0-9_.-]{16,}|GR1348941[A-Za-z0-9_-]{16,})",
    ),
    _form(
        "Google key",
        "aiza ya29. gocspx- 1//0",
        rf"\bAIza[0-9A-Za-z_-]{{35}}|\bya29\.[0-9A-Za-z_-]{{20,}}|\bGOCSPX-[0-9A-Za-z_-]{{20,}}|{_B}1//0[0-9A-Za-z_-]{{30,}}",
    ),
    _form("Slack token", "xox xapp- xwfp-", r"\bx(?:ox[abceoprs]|app|wfp)(?:\.xox[a-z])?-[A-Za-z0-9-]{10,}"),
    _form("Slack webhook", "hooks.slack.com", r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[A-Za-z0-9/]{20,}"),
    _form(
        "webhook", "/api/webhooks/ webhookb2/", r"(/api/webhooks/\d{10,}/|webhookb2/)(?!\[redacted)[A-Za-z0-9@/_-]{24,}"
    ),
    _form("API key", "sk- sess-", rf"{_B}(?:sk|sess)-(?=[a-z_-]{{0,40}}[A-Z0-9])[A-Za-z0-9_-]{{20,}}"),
    _form(
        "Stripe key",
        "_live_ _test_ whsec_",
        r"\b(?:(?:sk|rk|shippo)_(?:live|test)_[0-9a-zA-Z]{10,}|whsec_[A-Za-z0-9+/=]{16,})",
    ),
    _form(
        "Vault token",
        "hvs. hvb. hvr. .atlasv1.",
        r"\bhv[sbr]\.[A-Za-z0-9_-]{16,}|\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{30,}",
    ),
    _form(
        "registry token",
        "npm_ pypi-age rubygems_ dckr_ akcp nfp_ oy2",
        rf"\bnpm_[A-Za-z0-9]{{20,}}|\bpypi-AgE[A-Za-z0-9_-]{{30,}}|\brubygems_[0-9a-f]{{30,}}|\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{{20,}}|\bAKCp[A-Za-z0-9]{{30,}}|\bnfp_[A-Za-z0-9]{{20,}}|{_B}oy2[a-z0-9]{{43}}\b",
    ),
    _form("SendGrid key", "sg.", rf"{_B}SG\.[A-Za-z0-9_-]{{12,}}\.[A-Za-z0-9_-]{{12,}}"),
    _form(
        "cloud token",
        "dop_v1_ doo_v1_ dor_v1_ dapi dp. tskey- fo1_ fm2_ pul- sbp_ sb_secret_ pscale_ ops_ey dt0c01. dt0s01. cfpat-",
        r"\bdo[opr]_v1_[0-9a-f]{40,}|\bdapi[0-9a-f]{32}(?:-\d)?|\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{30,}|\btskey-[A-Za-z0-9-]{16,}|\bf(?:o1|m2)_[A-Za-z0-9+/=_-]{30,}|\bpul-[0-9a-f]{40}|\bsbp_[0-9a-f]{40}|\bsb_secret_[A-Za-z0-9_-]{20,}|\bpscale_(?:tkn|pw|oauth)_[A-Za-z0-9._=-]{20,}|\bops_eyJ[A-Za-z0-9+/=_-]{40,}|\bdt0[cs]01\.[A-Z0-9]{20,}\.[A-Z0-9]{30,}|\bCFPAT-[A-Za-z0-9_-]{30,}",
    ),
    _form("Azure secret", "q~", r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,36}"),
    _form(
        "monitoring token",
        "glsa_ glc_ nrak- nrjs- nrii- nral sntrys_ sntryu_ lin_api_ pmak- eyjrij",
        rf"\bglsa_[A-Za-z0-9]{{24,}}_[0-9a-f]{{8}}|\bglc_[A-Za-z0-9+/=]{{30,}}|\bNR(?:AK|JS|II|AL)-[A-Za-z0-9_-]{{19,}}|\b[0-9a-f]{{36}}NRAL\b|\bsntry[su]_[A-Za-z0-9+/=_-]{{40,}}|\blin_api_[A-Za-z0-9]{{30,}}|\bPMAK-[0-9a-f]{{24}}-[0-9a-f]{{34}}|{_B}eyJrIjoi[A-Za-z0-9+/=]{{30,}}",
    ),
    _form(
        "mail key",
        "key- -us xkeysib- re_",
        r"\bkey-[0-9a-f]{32}\b|\b[0-9a-f]{32}-us\d{1,2}\b|\bxkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}|\bre_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,}",
    ),
    _form("Twilio key", "sk", r"SK(?<=\bSK)[0-9a-f]{32}\b"),
    _form(
        "shop token",
        "shpat_ shpca_ shppa_ shpss_ sq0 eaa",
        r"\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{24,}|\bsq0(?:atp|csp)-[A-Za-z0-9_-]{22,}|\bEAA[A-Z][A-Za-z0-9_-]{50,}",
    ),
    _form(
        "work token",
        "atatt3 atctt3 atbb ntn_ secret_ figd_ sgp_",
        r"\bAT(?:A|C)TT3[A-Za-z0-9_=-]{40,}|\bATBB[A-Za-z0-9]{32}|\bntn_[A-Za-z0-9]{40,}|\bsecret_[A-Za-z0-9]{43}\b|\bfigd_[A-Za-z0-9_-]{20,}|\bsgp_(?:[0-9a-f]{16}_|local_)?[0-9a-f]{40}",
    ),
    _form(
        "model key",
        "hf_ r8_ gsk_ xai- pplx- nvapi- lsv2_ tvly-",
        r"\bhf_[A-Za-z0-9]{30,}|\br8_[A-Za-z0-9]{30,}|\bgsk_[A-Za-z0-9]{40,}|\bxai-[A-Za-z0-9_-]{40,}|\bpplx-[A-Za-z0-9]{40,}|\bnvapi-[A-Za-z0-9_-]{40,}|\blsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}|\btvly-[A-Za-z0-9-]{20,}",
    ),
    _form(
        "chat token",
        ":aa discord",
        rf"{_B}\d{{8,10}}:AA[A-Za-z0-9_-]{{32,35}}|{_B}[MNO][A-Za-z0-9_-]{{23,27}}\.[A-Za-z0-9_-]{{6}}\.[A-Za-z0-9_-]{{27,40}}",
    ),
    _form(
        "JWT",
        "eyj",
        r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]+){0,2}",
    ),
    _form(
        "password hash",
        "$2a$ $2b$ $2y$ $argon2 $6$ $5$ $1$ $y$ $apr1$ sha} sha256} sha512} scram-sha- pbkdf2",
        r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}|\$argon2(?:id|i|d)\$[\w$=,+/.-]{20,}|\$(?:1|5|6|y|apr1)\$[./A-Za-z0-9$=]{20,}|\{S?SHA(?:256|512)?\}[A-Za-z0-9+/=]{20,}|SCRAM-SHA-(?:1|256|512)\$[\w:$+/=]{30,}|pbkdf2_sha\d+\$[\w$+/=]{30,}",
    ),
)
HINTS = tuple(dict.fromkeys(hint for forms in (BLOCKS, WRITTEN, TOKENS) for form in forms for hint in form.hints))


def hide(text: str, forms: Sequence[Form]) -> str:
    """The text without what looks like one of `forms`."""
    lower = text.lower()
    for form in forms:
        for hint in form.hints:
            if hint in lower:
                text = form.hide(text)
                break
    return text
