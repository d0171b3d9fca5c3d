#!/usr/bin/env bash
# utoipa 6.0.0 (Rust): the schema of a struct with a flattened Option refuses the struct's own JSON.
#
# A flattened `Option<T>` that is None writes nothing. utoipa documents it as `oneOf: [T, null]` within an `allOf`. The answer is an object,
# so it can never be null, and each of the Ts becomes required: an answer with one of two such parts (a PIX charge or a card's secret) does not
# fit the document, and no value does unless all parts are there. The file is checked with jsonschema 4.26.0 (PyPI).
. "$(dirname "$0")/lib.sh"
with_python jsonschema==4.26.0
with_rust <<'TOML'
serde = { version = "=1.0.229", features = ["derive"] }
serde_json = "=1.0.154"
utoipa = "=6.0.0"
TOML
cat >src/main.rs <<'RUST'
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

#[derive(Serialize, ToSchema)]
struct Pix {
    copy_paste: String,
}

#[derive(Serialize, ToSchema)]
struct Card {
    client_secret: String,
}

#[derive(Serialize, ToSchema)]
struct Started {
    status: String,
    #[serde(flatten)]
    pix: Option<Pix>,
    #[serde(flatten)]
    card: Option<Card>,
}

#[derive(OpenApi)]
#[openapi(components(schemas(Started, Pix, Card)))]
struct Api;

fn main() {
    let (pix, card) = (|| Some(Pix { copy_paste: "000201".into() }), || Some(Card { client_secret: "pi_1_secret".into() }));
    let answers = [(pix(), None), (None, card()), (None, None), (pix(), card())];
    let answers: Vec<_> = answers.into_iter().map(|(pix, card)| Started { status: "pending".into(), pix, card }).collect();
    println!("{}", serde_json::json!({"document": Api::openapi(), "answers": answers}));
}
RUST
run_rust >document.json
cat >finding.py <<'PY'
import json
from jsonschema import Draft202012Validator
given = json.load(open("document.json"))
schema = {"$ref": "#/components/schemas/Started", "components": given["document"]["components"]}
for answer in given["answers"]:
    print("fits   " if Draft202012Validator(schema).is_valid(answer) else "refused", json.dumps(answer, sort_keys=True))
PY
"$PYTHON" finding.py >seen
same seen <<'SEEN'
refused {"copy_paste": "000201", "status": "pending"}
refused {"client_secret": "pi_1_secret", "status": "pending"}
refused {"status": "pending"}
fits    {"client_secret": "pi_1_secret", "copy_paste": "000201", "status": "pending"}
SEEN
