//! What everybody else notices of a flood of sign-ins, each of which costs a password hash.

use crate::Bench;
use crate::beside::open_shops;
use crate::rows::{Bound, Row};
use crate::shared::processes::peak_mib;
use crate::shared::shop::Shop;
use crate::wrk::{self, Load};

/// Wrong passwords of many accounts. The limits against that are off: this is the work itself.
const SIGN_IN: &str = r#"
local n = 0
request = function()
  n = n + 1
  local body = string.format('{"email":"pessoa%d@example.com","password":"not the password %d"}', n % 1000, n)
  return wrk.format("POST", "/api/auth/login", {["content-type"] = "application/json"}, body)
end
"#;

pub async fn measure(bench: &Bench) -> Vec<Row> {
    let shops = open_shops(bench, "logins").await;
    let mut rows = Vec::new();
    for (n, shop) in shops.into_iter().enumerate() {
        let of = if n == 0 { String::new() } else { format!(", {}", bench.builds[n].name) };
        let (quiet, flooded) = ("quiet", "while 64 clients sign in");
        let mut slower = Row::new(format!("catalog list, p99{of}"), "ms", &[quiet, flooded]);
        let mut tries =
            Row::new(format!("attempts answered meanwhile, most of them refused as too many at once{of}"), "/s", &["Vitrine"]);
        for round in 0..=bench.options.rounds {
            let calm = list(bench, &shop).await.p99_ms;
            let (busy, flood) = tokio::join!(list(bench, &shop), flood(bench, &shop));
            if round > 0 {
                slower.add(0, calm, None, 0);
                slower.add(1, busy.p99_ms, None, busy.errors);
                tries.add(0, flood.rate, Some(flood.p95_ms), 0);
            }
        }
        slower.compare(1, 0, Some(Bound::AtMost(3.0)));
        let mut memory = Row::new(format!("memory, most at any time (RSS){of}"), "MiB", &["Vitrine"]);
        memory.add(0, peak_mib(shop.pid()), None, 0);
        memory.wanted = Some(Bound::AtMost(400.0));
        rows.extend([slower, tries, memory]);
        shop.close(&bench.cluster).await;
    }
    rows
}

async fn list(bench: &Bench, shop: &Shop) -> wrk::Outcome {
    let (path, seconds) = ("/api/products?limit=20", bench.options.seconds * 2);
    wrk::run(bench, &Load { port: shop.port, path, headers: &[], connections: 8, seconds, script: "" }).await
}

async fn flood(bench: &Bench, shop: &Shop) -> wrk::Outcome {
    let (path, seconds) = ("/api/auth/login", bench.options.seconds * 2);
    wrk::run(bench, &Load { port: shop.port, path, headers: &[], connections: 64, seconds, script: SIGN_IN }).await
}
