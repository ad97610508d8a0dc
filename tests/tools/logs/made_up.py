"""Whole logs, made up: 300 lines of one of ten kinds of applications with one decisive line (or one trace) among them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

STAMP = "2026-11-24T11:{:02d}:{:02d}.{:03d}Z"


def _time(n: int) -> str:
    return STAMP.format(n // 60 % 60, n % 60, n * 37 % 1000)


def _web(n: int) -> str:
    words = (
        f'10.2.{n % 9}.{n % 200} - - [24/Nov/2026:11:00:{n % 60:02d} +0000] "GET /orders/{n} HTTP/1.1" 200 {n * 13}',
        f'10.2.{n % 9}.7 - - [24/Nov/2026:11:00:{n % 60:02d} +0000] "GET /timeout-settings HTTP/1.1" 404 153 "-" "bot"',
        f'10.2.0.1 - - [24/Nov/2026:11:00:{n % 60:02d} +0000] "GET /healthz HTTP/1.1" 200 2 "-" "kube-probe/1.31"',
    )
    return words[n % len(words)]


def _java(n: int) -> str:
    words = (
        f"INFO  [http-nio-8080-exec-{n % 9}] c.acme.OrderController : order {n} placed in {n % 90} ms",
        "INFO  [main] o.s.b.a.e.web.EndpointLinksResolver : Exposing 3 endpoint(s) beneath base path '/actuator'",
        f"DEBUG [pool-1] com.acme.Retry : attempt {n % 3} after java.net.SocketTimeoutException succeeded",
        "WARN  [main] JpaBaseConfiguration : spring.jpa.open-in-view is enabled by default",
    )
    return f"{_time(n)} {words[n % len(words)]}"


def _go(n: int) -> str:
    levels = ("info", "debug", "info")
    words = (f"request served path=/v1/items/{n} status=200", "cache refreshed errors=0", "0 errors in the last minute")
    return f'time={_time(n)} level={levels[n % 3]} msg="{words[n % 3]}" took={n % 80}ms'


def _json(n: int) -> str:
    words = ("handled", "job done, no errors", "connection timeout is set to 30 s", "token refreshed")
    return json.dumps({"time": _time(n), "level": "info", "msg": words[n % 4], "error_rate": 0, "id": n})


def _pino(n: int) -> str:
    return json.dumps({"level": 30, "time": 1790000000000 + n, "pid": 1, "msg": "request completed", "n": n})


def _python(n: int) -> str:
    words = (
        f"INFO:app.worker:task {n} finished in {n % 7}.{n % 10}s",
        f"INFO:app.worker:failed=0 timeout=30 retries={n % 3}",
        "WARNING:urllib3.connectionpool:Connection pool is full, discarding connection: api. Connection pool size: 10",
    )
    return words[n % 3]


def _klog(n: int) -> str:
    return f"I1124 11:00:{n % 60:02d}.{n * 7:06d}       1 controller.go:{n % 300}] synced shop/item-{n} without errors"


def _postgres(n: int) -> str:
    words = (
        f"LOG:  checkpoint complete: wrote {n} buffers (0.{n % 10}%)",
        f'LOG:  connection authorized: user=shop database=orders application_name="api-{n}"',
        f"LOG:  duration: {n}.2 ms  statement: select * from error_codes where code = {n}",
    )
    return f"2026-11-24 11:00:{n % 60:02d}.{n % 1000:03d} UTC [{n + 40}] {words[n % 3]}"


def _ruby(n: int) -> str:
    return f"I, [{_time(n)} #1]  INFO -- : [req-{n}] Completed 200 OK in {n % 60}ms (ActiveRecord: {n % 9}.1ms)"


def _model(n: int) -> str:
    words = (
        f'INFO:     10.0.0.{n % 200}:4711 - "POST /predict HTTP/1.1" 200 OK',
        f"INFO 11-24 11:00:{n % 60:02d} metrics.py:295] Avg generation throughput: {n}.1 tokens/s, GPU KV cache usage: 2%",
    )
    return words[n % 2]


NOISE: Mapping[str, Callable[[int], str]] = {
    "web": _web,
    "java": _java,
    "go": _go,
    "json": _json,
    "pino": _pino,
    "python": _python,
    "klog": _klog,
    "postgres": _postgres,
    "ruby": _ruby,
    "model": _model,
}


@dataclass(frozen=True, slots=True)
class MadeUp:
    """`told` is what the application writes at line `at` of 300; `accused` the host that is to be accused, "" for none."""

    app: str
    told: str
    reason: str
    accused: str = ""
    at: int = 299

    @property
    def lines(self) -> list[str]:
        noise = [NOISE[self.app](n) for n in range(300)]
        told = self.told.split("\n")
        return [*noise[: self.at], *told, *noise[self.at + len(told) :]]


# Written before any pattern was looked at.
HELD_OUT: tuple[MadeUp, ...] = (
    MadeUp(
        "java",
        "2026-11-24T11:05:01Z ERROR [main] o.s.boot.SpringApplication : Application run failed\n"
        "org.springframework.beans.factory.BeanCreationException: Error creating bean with name 'entityManagerFactory'\n"
        "\tat org.springframework.beans.factory.support.AbstractBeanFactory.doGetBean(AbstractBeanFactory.java:208)\n"
        "Caused by: org.hibernate.HibernateException: Access to DialectResolutionInfo cannot be null\n"
        "\tat org.hibernate.engine.jdbc.Dialect.resolve(Dialect.java:91)\n"
        "Caused by: java.net.UnknownHostException: orders-db.shop.svc\n"
        "\tat java.base/java.net.InetAddress$CachedAddresses.get(InetAddress.java:801)\n"
        "\t... 34 common frames omitted",
        "unknown_host",
        "orders-db.shop.svc",
        280,
    ),
    MadeUp(
        "go",
        'time=2026-11-24T11:05:01Z level=fatal msg="cannot start" err="dial tcp 10.96.0.12:6379: connect: connection refused"',
        "refused",
        "10.96.0.12",
    ),
    MadeUp(
        "json",
        '{"level":"error","msg":"publish failed","err":"kafka: client has run out of available brokers to talk to: dial tcp: lookup kafka-0.kafka on 10.96.0.10:53: no such host"}',
        "unknown_host",
        "kafka-0.kafka",
        120,
    ),
    MadeUp(
        "python",
        "Traceback (most recent call last):\n"
        '  File "/app/main.py", line 12, in <module>\n'
        '    engine = connect(os.environ["LEDGER_URL"])\n'
        '  File "<frozen os>", line 685, in __getitem__\n'
        "KeyError: 'LEDGER_URL'",
        "config_value",
        "",
        295,
    ),
    MadeUp(
        "python",
        "Traceback (most recent call last):\n"
        '  File "/usr/lib/python3/site-packages/psycopg2/__init__.py", line 122, in connect\n'
        'psycopg2.OperationalError: connection to server at "ledger-db" (10.1.4.9), port 5432 failed: FATAL:  password authentication failed for user "ledger"\n'
        "\n"
        "The above exception was the direct cause of the following exception:\n"
        "\n"
        "Traceback (most recent call last):\n"
        '  File "/app/main.py", line 12, in <module>\n'
        'sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection to server at "ledger-db" (10.1.4.9), port 5432 failed: FATAL:  password authentication failed for user "ledger"',
        "authentication",
        "ledger-db",
        290,
    ),
    MadeUp(
        "pino",
        '{"level":50,"time":1790000000999,"pid":1,"err":{"type":"Error","message":"getaddrinfo ENOTFOUND basket-cache","stack":"Error: getaddrinfo ENOTFOUND basket-cache\\n    at GetAddrInfoReqWrap.onlookup [as oncomplete] (node:dns:109:26)"},"msg":"redis error"}',
        "unknown_host",
        "basket-cache",
        200,
    ),
    MadeUp(
        "web",
        '2026/11/24 11:04:02 [error] 31#31: *8 connect() failed (111: Connection refused) while connecting to upstream, client: 10.2.0.9, server: _, request: "GET /cart HTTP/1.1", upstream: "http://10.96.4.4:8080/cart", host: "shop.example"',
        "refused",
        "10.96.4.4",
        150,
    ),
    MadeUp(
        "java",
        "2026-11-24T11:05:01Z ERROR [http-nio-8080-exec-3] o.h.engine.jdbc.spi.SqlExceptionHelper : HikariPool-1 - Connection is not available, request timed out after 30000ms (total=10, active=10, idle=0, waiting=42)",
        "too_many_connections",
        "",
        250,
    ),
    MadeUp(
        "klog",
        'E1124 11:05:00.000001       1 reflector.go:150] Failed to watch *v1.ConfigMap: configmaps is forbidden: User "system:serviceaccount:shop:sync" cannot list resource "configmaps" in API group "" in the namespace "shop"',
        "permission",
        "",
        210,
    ),
    MadeUp(
        "postgres",
        "2026-11-24 11:05:00.101 UTC [91] FATAL:  sorry, too many clients already",
        "too_many_connections",
        "",
        260,
    ),
    MadeUp(
        "postgres",
        '2026-11-24 11:05:00.101 UTC [91] PANIC:  could not write to file "pg_wal/xlogtemp.91": No space left on device',
        "no_space",
    ),
    MadeUp(
        "ruby",
        "E, [2026-11-24T11:05:01 #1] ERROR -- : PG::UndefinedColumn: ERROR:  column orders.discount_code does not exist",
        "schema",
        "",
        100,
    ),
    MadeUp(
        "model",
        "ERROR 11-24 11:05:00 engine.py:160] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 896.00 MiB. GPU 0 has a total capacity of 79.15 GiB of which 512.00 MiB is free.",
        "out_of_memory",
        "",
        280,
    ),
    MadeUp(
        "model",
        "FileNotFoundError: [Errno 2] No such file or directory: '/models/churn/7/model.onnx'",
        "not_found",
    ),
    MadeUp(
        "json",
        '{"severity":"ERROR","message":"call to https://pay.example.com/v2/charges failed: 429 Too Many Requests"}',
        "rate_limited",
        "pay.example.com",
        222,
    ),
    MadeUp(
        "go",
        'time=2026-11-24T11:05:01Z level=error msg="push failed" error="Post \\"https://vault.sec.svc:8200/v1/x\\": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-11-24T11:05:01Z is after 2026-11-20T00:00:00Z"',
        "certificate",
        "vault.sec.svc",
        140,
    ),
    MadeUp(
        "pino",
        '{"level":60,"pid":1,"msg":"listen EADDRINUSE: address already in use 0.0.0.0:8080"}',
        "address_in_use",
    ),
    MadeUp(
        "python",
        "botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the GetObject operation: Access Denied",
        "permission",
    ),
    MadeUp(
        "java",
        "[2026-11-24 11:05:00,101] ERROR [Consumer clientId=c-1, groupId=billing] Connection to node -1 (broker.kafka.svc/10.8.0.3:9092) failed authentication due to: Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512 (org.apache.kafka.clients.NetworkClient)",
        "authentication",
        "broker.kafka.svc",
        270,
    ),
    MadeUp(
        "java",
        "Caused by: org.apache.kafka.common.errors.SerializationException: Error deserializing key/value for partition orders-3 at offset 881. If needed, please seek past the record to continue consumption.",
        "serialization",
        "",
        180,
    ),
    MadeUp(
        "ruby",
        "F, [2026-11-24T11:05:01 #1] FATAL -- : ActiveRecord::Deadlocked: Mysql2::Error: Deadlock found when trying to get lock; try restarting transaction",
        "deadlock",
        "",
        199,
    ),
    MadeUp(
        "json",
        '{"level":"error","message":"rpc error: code = Unavailable desc = connection error: desc = \\"transport: Error while dialing: dial tcp 10.1.1.1:50051: i/o timeout\\"","service":"cart"}',
        "timeout",
        "10.1.1.1",
        100,
    ),
    MadeUp(
        "go",
        "panic: open /etc/app/rules.yaml: permission denied",
        "permission",
        "",
    ),
    MadeUp(
        "python",
        "redis.exceptions.ReadOnlyError: You can't write against a read only replica.",
        "read_only",
        "",
        260,
    ),
    MadeUp("go", "panic: runtime error: invalid memory address or nil pointer dereference", "new_error", "", 290),
    MadeUp(
        "java", 'Exception in thread "main" java.lang.IllegalStateException: the ledger is not balanced', "new_error"
    ),
    MadeUp("go", _go(299), ""),
    MadeUp("java", _java(298), ""),
    MadeUp("python", "INFO:app.worker:reconnected to ledger-db after 2 attempts (connection refused)", "", "", 298),
    MadeUp("web", _web(4), ""),
)

# Wording met in public issue threads, taken in before it was tried; names and addresses are made up.
MET_IN_ISSUES: tuple[MadeUp, ...] = (
    MadeUp(
        "python",
        "Unhandled exception. Npgsql.NpgsqlException (0x80004005): Failed to connect to 10.0.4.5:5432\n"
        " ---> System.Net.Sockets.SocketException (111): Connection refused\n"
        "   at Npgsql.Internal.NpgsqlConnector.ConnectAsync(NpgsqlTimeout timeout, CancellationToken ct)",
        "refused",
        "10.0.4.5",
        296,
    ),
    MadeUp(
        "java",
        "System.Net.Internals.SocketExceptionFactory+ExtendedSocketException (111): Connection refused 172.18.0.4:5432",
        "refused",
        "172.18.0.4",
        120,
    ),
    MadeUp(
        "json",
        "StackExchange.Redis.RedisConnectionException: It was not possible to connect to the redis server(s). UnableToConnect on redis-cart:6379/Interactive, Initializing/NotStarted, last: NONE",
        "dependency",
        "redis-cart",
        140,
    ),
    MadeUp(
        "json",
        '{"level":"warn","caller":"etcdserver/util.go:144","msg":"apply request took too long","took":"4.379672854s","expected-duration":"100ms","prefix":"read-only range ","response":"","error":"etcdserver: request timed out"}',
        "timeout",
        "",
        150,
    ),
    MadeUp(
        "json",
        '{"level":"warn","caller":"etcdserver/util.go:123","msg":"failed to apply request","took":"14.402µs","response":"","error":"etcdserver: no space"}',
        "no_space",
        "",
        150,
    ),
    MadeUp(
        "java",
        "[2026-11-24T09:29:37,167][WARN ][o.e.c.r.a.DiskThresholdMonitor] [es-0] flood stage disk watermark [95%] exceeded on [Lq-N3][es-0][/data/nodes/0] free: 1.1gb[4.9%], all indices on this node will be marked read-only",
        "no_space",
        "",
        20,
    ),
    MadeUp(
        "go",
        "thread 'main' panicked at 'called `Result::unwrap()` on an `Err` value: Error { kind: ConfigParse, cause: Some(InvalidValue(\"sslmode\")) }', src/main.rs:76:53\n"
        "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
        "config_value",
        "",
        298,
    ),
    MadeUp(
        "go",
        "thread 'main' panicked at 'called `Result::unwrap()` on an `Err` value: SqliteFailure(Error { code: Unknown, extended_code: 1 }, Some(\"no such table: posts\"))', libcore/result.rs:945:5\n"
        "note: Run with `RUST_BACKTRACE=1` for a backtrace.",
        "schema",
        "",
        298,
    ),
    MadeUp(
        "go",
        "thread '<unnamed>' panicked at 'called `Result::unwrap()` on an `Err` value: Connection refused (os error 111)', src/libcore/result.rs:1084:5",
        "refused",
    ),
    MadeUp(
        "go",
        "thread 'main' panicked at src/client.rs:111:62:\n"
        'called `Result::unwrap()` on an `Err` value: Error("expected value", line: 1, column: 1)\n'
        "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
        "serialization",
        "",
        297,
    ),
    MadeUp(
        "go",
        "thread 'main' panicked at 'called `Result::unwrap()` on an `Err` value: Log4rs(Os { code: 2, kind: NotFound, message: \"No such file or directory\" })', src/main.rs:535:5\n"
        "stack backtrace:\n"
        "   0:     0x55ef55f71894 - backtrace::backtrace::libunwind::trace::ha716b483344307d4",
        "not_found",
        "",
        297,
    ),
    MadeUp(
        "python",
        "2026-11-24 10:00:00,101 - analyzerApp.minioClient - ERROR - SignatureDoesNotMatch: message: The request signature we calculated does not match the signature you provided.",
        "authentication",
        "",
        30,
    ),
    MadeUp(
        "python",
        "minio.error.S3Error: S3 operation failed; code: AccessDenied, message: Access denied, resource: /churn/model.pkl, request_id: 17A, host_id: 00",
        "permission",
        "",
        200,
    ),
    MadeUp(
        "model",
        "2026-11-24 16:37:34,663 [mlserver.parallel] ERROR - An error occurred processing a model update of type 'Load'.\n"
        "Traceback (most recent call last):\n"
        '  File "/opt/conda/lib/python3.10/site-packages/mlserver/parallel/worker.py", line 158, in _process_model_update\n'
        "    await self._model_registry.load(model_settings)\n"
        'mlflow.exceptions.MlflowException: Could not find an "MLmodel" configuration file at "/mnt/models/data"',
        "not_found",
        "",
        200,
    ),
    MadeUp("model", "TypeError: __init__() got an unexpected keyword argument 'required'", "new_error"),
    MadeUp(
        "klog",
        "E0120 08:28:09.425599 2049 model_lifecycle.cc:654] \"failed to load 'ranker' version 1: Invalid argument: unable to find backend library for backend 'tensorrtllm', try specifying runtime on the model configuration.\"",
        "not_found",
        "",
        290,
    ),
    MadeUp(
        "klog",
        "[TensorRT-LLM][ERROR] CUDA runtime error in ::cudaMallocAsync(ptr, n, mCudaStream->get()): out of memory (/app/tensorrt_llm/cpp/tensorrt_llm/runtime/tllmBuffers.h:112)",
        "out_of_memory",
        "",
        210,
    ),
    MadeUp(
        "go",
        "error initializing database interface: error parsing config file: decoding '/var/tmp/source/config.json': json: unknown field \"dbname\"",
        "config_value",
    ),
    MadeUp(
        "web",
        "omkafka: action will suspended due to kafka error -169: Local: Authentication failure [v8.2006.0 try https://www.rsyslog.com/e/2422 ]",
        "authentication",
        "",
        110,
    ),
    MadeUp("web", " 09:47:42.76 ERROR ==> Couldn't start RabbitMQ in background.", "new_error"),
    MadeUp(
        "klog",
        "E0812 05:45:01.326063 1 pinned_memory_manager.cc:192] failed to allocate pinned system memory: CUDA driver version is insufficient for CUDA runtime version",
        "new_error",
    ),
    MadeUp("python", "socket.gaierror: [Errno -3] Temporary failure in name resolution", "unknown_host", "", 260),
    MadeUp(
        "model",
        "CRITICAL 12-13 17:31:42 launcher.py:99] MQLLMEngine is already dead, terminating server process",
        "new_error",
    ),
    MadeUp(
        "json",
        '{"level":"fatal","error":"kafka: client has run out of available brokers to talk to (Is your cluster reachable?)","message":"cannot start"}',
        "dependency",
    ),
    MadeUp(
        "go",
        "%3|1650713154.025|FAIL|rdkafka#producer-1| [thrd:broker1:9092/bootstrap]: broker1:9092/bootstrap: Connect to ipv4#10.0.0.4:9092 failed: Connection refused (after 2ms in state CONNECT)",
        "refused",
        "broker1",
        40,
    ),
)
# A second look at issue threads, after the first had mended what it showed.
MET_LATER: tuple[MadeUp, ...] = (
    MadeUp(
        "postgres",
        '2026-11-24 02:14:03: pid 1: WARNING:  failed to connect to PostgreSQL server, getaddrinfo() failed with error "Name or service not known"\n'
        "2026-11-24 02:14:03: pid 1: ERROR:  failed to make persistent db connection\n"
        '2026-11-24 02:14:03: pid 1: DETAIL:  connection to host:"pg-0.pg-headless.shop.svc:5432" failed',
        "unknown_host",
        "",  # the line that names it is another one
        100,
    ),
    MadeUp(
        "go",
        "error running ingest: error communicating with database: failed to lookup address information: Temporary failure in name resolution\n"
        "\n"
        "Caused by:\n"
        "    failed to lookup address information: Temporary failure in name resolution",
        "unknown_host",
        "",
        290,
    ),
    MadeUp(
        "json", '{"level":"ERROR","msg":"database connect failed","err":"context deadline exceeded"}', "timeout", "", 44
    ),
    MadeUp(
        "pino",
        "FetchError: request to http://pay-core:4466/cluster failed, reason: connect ECONNREFUSED 10.2.3.4:4466\n"
        "    at ClientRequest.<anonymous> (/app/node_modules/node-fetch/index.js:133:11)",
        "refused",
        "pay-core",
        44,
    ),
    MadeUp(
        "web",
        "[2026-11-24 00:03:21] production.ERROR: SQLSTATE[HY000] [2002] Connection refused (Connection: mysql, SQL: select * from migrations)",
        "refused",
        "",
        44,
    ),
    MadeUp(
        "web",
        '[2026-11-24 06:57:11] production.ERROR: There is already an active transaction {"exception":"[object] (PDOException(code: 0): There is already an active transaction at /var/www/html/Connection.php:141)"}',
        "new_error",
    ),
    MadeUp(
        "python",
        "[2026-01-30 05:43:41,775: ERROR/MainProcess] Control command error: OperationalError(\"Cannot route message for exchange 'reply.celery.pidbox': Table empty or key no longer exists.\")",
        "new_error",
    ),
    MadeUp(
        "python",
        "2026-10-17 22:57:20,865 WARNING - consumer: Connection to broker lost. Trying to re-establish the connection...",
        "dependency",
        "",
        70,
    ),
    MadeUp("python", "kombu.exceptions.OperationalError: [Errno 111] Connection refused", "refused", "", 70),
    MadeUp(
        "python", "    sock.connect(socket_address)\nTimeoutError: [Errno 110] Connection timed out", "timeout", "", 298
    ),
    MadeUp(
        "pino", "Error: Heartbeat timeout\n    at Heart.<anonymous> (/app/lib/connection.js:427:19)", "timeout", "", 298
    ),
    MadeUp(
        "pino",
        "<--- JS stacktrace --->\n\nFATAL ERROR: Ineffective mark-compacts near heap limit Allocation failed - JavaScript heap out of memory\n"
        "1: 00007FF6C6A74C6F napi_wrap+111007",
        "out_of_memory",
        "",
        292,
    ),
    MadeUp(
        "java",
        'Exception in thread "main" org.springframework.context.ApplicationContextException: Unable to start embedded container; nested exception is java.lang.NoSuchMethodError: org.apache.tomcat.util.buf.UDecoder',
        "not_found",
    ),
    MadeUp(
        "pino",
        "PrismaClientInitializationError: Can't reach database server at `orders-db:5432`\n\nPlease make sure your database server is running at `orders-db:5432`.",
        "dependency",
        "orders-db",
        297,
    ),
    MadeUp(
        "pino",
        '{"level":50,"err":{"type":"MongooseServerSelectionError","message":"connect ECONNREFUSED 10.4.4.4:27017"},"msg":"db"}',
        "refused",
        "10.4.4.4",
        150,
    ),
    MadeUp(
        "go",
        'time=2026-11-24T11:00:00Z level=fatal msg="failed to connect to `host=orders-db user=app database=orders`: hostname resolving error (lookup orders-db on 10.96.0.10:53: no such host)"',
        "unknown_host",
        "orders-db",
    ),
    MadeUp(
        "web",
        "PHP Fatal error:  Uncaught PDOException: SQLSTATE[HY000] [1045] Access denied for user 'app'@'10.2.0.7' (using password: YES) in /var/www/db.php:12",
        "authentication",
        "",
        130,
    ),
    MadeUp(
        "klog",
        "BOOT FAILED\n===========\nError during startup: {error,{schema_integrity_check_failed,[]}}",
        "new_error",
        "",
        297,
    ),
)
