#!/usr/bin/env bash
# pixqrcode 1.1.0 (PyPI) writes BR Codes that cannot be read, or that name another key.
#
# The length of field 26 (the account) is a constant for each kind of key: right for a random key, but for an e-mail only if it
# has 24 characters. A CPF is taken for a phone number and gets +55 in front; so is a random key that begins with digits, of
# which only the digits stay. A CRC that begins with zero loses the zero, and the code ends one digit short.
. "$(dirname "$0")/lib.sh"
with_python pixqrcode==1.1.0

cat >finding.py <<'PY'
from pixqrcode import PixQrCode

def show(key):
    code = PixQrCode("Padaria", key, "Sao Paulo", "10.50", "PED7").generate_code()
    account = code[code.index("0014BR.GOV.BCB.PIX"):code.index("52040000")]
    print(key, "| length", code[8:10], "of", len(account), "| key", account[22:], "| CRC", code[code.rindex("6304") + 4:])

for key in ["9d36b84f-c70b-478f-b95c-12729b90ca25", "contato@padariadana.com", "ana@loja.com.br", "52998224725",
            "123e4567-e12b-12d1-a456-426655440000"]:
    show(key)
PY
"$PYTHON" finding.py >seen
same seen <<'SEEN'
9d36b84f-c70b-478f-b95c-12729b90ca25 | length 58 of 58 | key 9d36b84f-c70b-478f-b95c-12729b90ca25 | CRC C11C
contato@padariadana.com | length 46 of 45 | key contato@padariadana.com | CRC C5EA
ana@loja.com.br | length 46 of 37 | key ana@loja.com.br | CRC BE58
52998224725 | length 36 of 36 | key +5552998224725 | CRC F501
123e4567-e12b-12d1-a456-426655440000 | length 36 of 49 | key 123456712121456426655440000 | CRC B86
SEEN
