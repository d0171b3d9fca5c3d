"""Two minutes of generated requests against a whole shop, as a stranger, as a customer and as an administrator.

    generated.py VITRINE SCHEMATHESIS DOCUMENT FOLDER [SECONDS]

Every answer must be as the document says, and none a failure of the server. Exit 1 if one is not.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "ignored_auth",
]

# What would end the run itself: a stream without an end, and what ends the caller's own session.
LEFT_OUT = ["followOrder", "logout", "changePassword", "eraseMe", "metrics"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def post(url, body):
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def wait_until_ready(shop, url, log):
    for _ in range(600):
        if shop.poll() is not None:
            sys.exit(f"the shop did not start: see {log}")
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    sys.exit(f"the shop was not ready in time: see {log}")


def token_of_customer(url):
    person = {"name": "Ana Silva", "email": "comprador@loja.test", "password": "uma senha bem comprida"}
    return post(f"{url}/api/auth/register", person)["token"]


def token_of_admin(url):
    return post(f"{url}/api/auth/login", {"email": "admin@vitrine.local", "password": "vitrine-admin"})["token"]


def generate(schemathesis, document, folder, url, token, seconds, seed):
    settings = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schemathesis.toml")
    command = [schemathesis, "--config-file", settings, "run", document, "--url", url]
    command += ["--checks", ",".join(CHECKS), "--max-time", str(seconds)]
    command += ["--seed", str(seed), "--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all"]
    command += ["--warnings", "off", "--request-timeout", "20", "--workers", "1", "--continue-on-failure"]
    for operation in LEFT_OUT:
        command += ["--exclude-operation-id", operation]
    if token:
        command += ["-H", f"Authorization: Bearer {token}"]
    return subprocess.run(command, cwd=folder).returncode == 0


def main(vitrine, schemathesis, document, folder, seconds=120):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    port, log = free_port(), os.path.join(folder, "shop.log")
    limits = ["LOGIN", "REGISTER", "FORGOT_PASSWORD", "GLOBAL", "FREIGHT", "CEP"]
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "DEV_PG_BIN", "TZ")}
    environment |= {f"RATE_LIMIT_{name}": "0" for name in limits}
    environment |= {"PORT": str(port), "SANDBOX_PORT": str(free_port()), "LOG_LEVEL": "warn"}
    url = f"http://127.0.0.1:{port}"
    with open(log, "w") as output:
        shop = subprocess.Popen([vitrine, "dev"], cwd=folder, env=environment, stdout=output, stderr=output)
        try:
            wait_until_ready(shop, url, log)
            seed = int(os.environ.get("CONTRACT_SEED", time.time()))
            good = True
            for name, token in [("a stranger", ""), ("a customer", token_of_customer(url)), ("an administrator", token_of_admin(url))]:
                print(f"--- as {name}, seed {seed} ---", flush=True)
                good &= generate(schemathesis, document, folder, url, token, int(seconds) // 3, seed)
        finally:
            shop.terminate()
            shop.wait(timeout=60)
    sys.exit(0 if good else f"some answers are not as the document says; the shop's log is {log}")


if __name__ == "__main__":
    main(*sys.argv[1:])
