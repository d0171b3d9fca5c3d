#!/usr/bin/env bash
# A CNPJ with letters (12.ABC.345/01DE-35, the Receita Federal's own example; issued since July 2026) in packages for Brazilian documents.
#
# @brazilian-utils/brazilian-utils 2.4.0 (npm) takes it only with `{version: 2}`. Without it, `isValidCnpj` refuses it, `formatCnpj` and
# `parseCnpj` drop the letters in silence, and `isValidNfeKey` (which has no such option) refuses the access key of an invoice whose issuer
# has such a number; `isValidPixKey` of the same package accepts it. The package @brazilian-utils/is-valid-cnpj 0.1.11, validated
# on its own, knows digits only. validations-br 1.7.0, cnpj 5.1.1 and js-brasil 2.8.0 take capitals only. brutils 2.5.0 (PyPI) takes
# neither the mask nor small letters; validate-docbr 2.0.1 and python-stdnum 2.2 take all.
. "$(dirname "$0")/lib.sh"
with_node @brazilian-utils/brazilian-utils@2.4.0 @brazilian-utils/is-valid-cnpj@0.1.11 validations-br@1.7.0 cnpj@5.1.1 js-brasil@2.8.0 \
    cpf-cnpj-validator@2.1.2 @fnando/cnpj@2.0.0
with_python brutils==2.5.0 validate-docbr==2.0.1 python-stdnum==2.2

cat >finding.mjs <<'JS'
import { createRequire } from 'node:module';
import * as fnando from '@fnando/cnpj';
import * as cnpj from 'cnpj';
import * as validations from 'validations-br';
const require = createRequire(import.meta.url);
const utils = require('@brazilian-utils/brazilian-utils');
const single = require('@brazilian-utils/is-valid-cnpj');
const js = require('js-brasil');
const validator = require('cpf-cnpj-validator');

const forms = ['12.ABC.345/01DE-35', '12ABC34501DE35', '12abc34501de35', '11.222.333/0001-81'];
const checks = {
  'brazilian-utils': (text) => utils.isValidCnpj(text),
  'brazilian-utils, version 2': (text) => utils.isValidCnpj(text, { version: 2 }),
  'is-valid-cnpj': (text) => (single.isValidCnpj ?? single.default ?? single)(text),
  'validations-br': (text) => validations.validateCNPJ(text),
  'cnpj': (text) => cnpj.validate(text),
  'js-brasil': (text) => js.validateBr.cnpj(text),
  'cpf-cnpj-validator': (text) => validator.cnpj.isValid(text),
  '@fnando/cnpj': (text) => fnando.isValid(text),
};
for (const [name, check] of Object.entries(checks)) console.log(name, forms.map((text) => (check(text) ? 'yes' : 'no')).join(' '));
console.log('format', utils.formatCnpj(forms[1]), utils.formatCnpj(forms[1], { version: 2 }));
console.log('parse', utils.parseCnpj(forms[1]), 'pix key', utils.isValidPixKey(forms[1]));
const digits = '35261111222333000181550010000000071831704160', letters = '35261112ABC34501DE35550010000000071831704160';
console.log('nfe key', utils.isValidNfeKey(digits), utils.isValidNfeKey(letters));
JS
cat >finding.py <<'PY'
import brutils, validate_docbr
from stdnum.br import cnpj
forms = ["12.ABC.345/01DE-35", "12ABC34501DE35", "12abc34501de35", "11.222.333/0001-81"]
checks = {"brutils": brutils.is_valid_cnpj, "validate-docbr": validate_docbr.CNPJ().validate, "python-stdnum": cnpj.is_valid}
for name, check in checks.items():
    print(name, *("yes" if check(text) else "no" for text in forms))
PY
{ node finding.mjs && "$PYTHON" finding.py; } >seen
same seen <<'SEEN'
brazilian-utils no no no yes
brazilian-utils, version 2 yes yes yes yes
is-valid-cnpj no no no yes
validations-br yes yes no yes
cnpj yes yes no yes
js-brasil yes yes no yes
cpf-cnpj-validator yes yes yes yes
@fnando/cnpj yes yes yes yes
format 12.345.013/5 12.ABC.345/01DE-35
parse 123450135 pix key true
nfe key true false
brutils no yes no no
validate-docbr yes yes yes yes
python-stdnum yes yes yes yes
SEEN
