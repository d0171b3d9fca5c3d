#!/usr/bin/env bash
# localstripe 1.15.10 (PyPI, a stateful Stripe stand-in): a repeated Idempotency-Key charges and refunds twice.
#
# Stripe answers the same key and body with the first answer for 24 hours. localstripe ignores the header: a client that repeats after a lost
# answer makes a second PaymentIntent and a second refund there, so its safety cannot be tested with it. A succeeded PaymentIntent
# has no `amount_received`, `latest_charge` is an object where Stripe gives an id unless it is expanded, and listing by
# `created[gte]` is refused.
. "$(dirname "$0")/lib.sh"
with_python localstripe==1.15.10

PORT=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$WORK/venv/bin/localstripe" --port "$PORT" >mock.log 2>&1 &
MOCK_PID=$!
ask() { curl --silent --globoff --user sk_test_1: "$@"; }
STRIPE=http://127.0.0.1:$PORT
for _ in $(seq 100); do
    if ask "$STRIPE/v1/payment_intents" >/dev/null; then break; fi
    sleep 0.1
done

pay() { ask "$STRIPE/v1/payment_intents" -H 'Idempotency-Key: pedido-7' -d amount=1990 -d currency=brl -d confirm=true -d payment_method=pm_card_visa; }
pay >first.json
pay >second.json
refund() { ask "$STRIPE/v1/refunds" -H 'Idempotency-Key: devolucao-7' -d payment_intent="$1" -d amount=500; }
INTENT=$("$PYTHON" -c 'import json; print(json.load(open("first.json"))["id"])')
refund "$INTENT" >refund1.json
refund "$INTENT" >refund2.json
ask "$STRIPE/v1/payment_intents?created[gte]=1" >list.json

"$PYTHON" - >seen <<'PY'
import json
first, second, one, two, listed = (json.load(open(f"{name}.json")) for name in ("first", "second", "refund1", "refund2", "list"))
print("payment intents", first["status"], second["status"], "same" if first["id"] == second["id"] else "two")
print("refunds", one["amount"], two["amount"], "same" if one["id"] == two["id"] else "two")
print("amount_received", first.get("amount_received"))
print("latest_charge", type(first["latest_charge"]).__name__)
print("created[gte]", listed.get("error", {}).get("message", "taken"))
PY
same seen <<'SEEN'
payment intents succeeded succeeded two
refunds 500 500 two
amount_received None
latest_charge dict
created[gte] Unexpected created
SEEN
