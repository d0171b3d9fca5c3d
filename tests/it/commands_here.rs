//! The operator's commands, where `vitrine dev` keeps a shop, and where only their own variables are set.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::shop::{DATA_KEYS, Shop};

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

/// The binary in that folder, with nothing in its environment but where programs are.
fn vitrine(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vitrine"));
    command.args(arguments).current_dir(folder).env_clear().env("PATH", std::env::var("PATH").unwrap());
    command
}

fn run(folder: &Path, arguments: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = vitrine(folder, arguments).envs(env.iter().copied()).output().unwrap();
    (status.code(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

fn stop(mut dev: Child) {
    assert!(Command::new("kill").args(["-TERM", &dev.id().to_string()]).status().unwrap().success());
    assert!(dev.wait().unwrap().success());
}

#[actix_web::test]
async fn every_command_runs_on_what_dev_made_with_no_variable_while_it_sells_and_after_it() {
    let folder = std::env::temp_dir().join(format!("vitrine-{}", Uuid::now_v7()));
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(run(&folder, &["audit"], &[]).0, Some(3), "no shop was made here");
    let port = free_port();
    let dev = vitrine(&folder, &["dev"]).env("PORT", &port).env("SANDBOX_PORT", free_port()).spawn().unwrap();
    let (http, began) = (reqwest::Client::new(), Instant::now());
    while !http.get(format!("http://127.0.0.1:{port}/ready")).send().await.is_ok_and(|answer| answer.status() == 200) {
        assert!(began.elapsed() < Duration::from_secs(120), "the shop never got ready");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let audits = |when: &str| {
        let (code, said) = run(&folder, &["audit"], &[]);
        assert!(code == Some(0) && said.contains(" 0 violation(s)"), "{when}: {said}");
    };
    audits("while it sells");
    stop(dev);
    audits("after it");
    let (code, said) = run(&folder, &["explain", "VK000-00000"], &[]);
    assert!(code == Some(1) && said.contains("there is no order VK000-00000"), "{said}");
    let (code, said) = run(&folder, &["rekey"], &[]);
    assert!(code == Some(0) && said.contains("complete"), "{said}");
    let (code, said) = run(&folder, &["export"], &[]);
    assert!(code == Some(0) && said.starts_with("product_slug,"), "{said}");
    let out = folder.join("notas.zip");
    let (code, said) = run(&folder, &["accountant", "--month", "2026-11", "--out", out.to_str().unwrap()], &[]);
    assert!(code == Some(0) && out.exists(), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[actix_web::test]
async fn a_command_asks_for_no_variable_that_it_does_not_use() {
    let shop = Shop::open().await;
    let (folder, url) = (std::env::temp_dir(), shop.database_url().await);
    let database = ("DATABASE_URL", url.as_str());
    let (code, said) = run(&folder, &["audit"], &[database, ("PORT", "eighty"), ("JWT_SECRET", "secret")]);
    assert!(code == Some(0) && said.contains(" 0 violation(s)"), "{said}");
    let (code, said) = run(&folder, &["rekey"], &[database]);
    assert!(code == Some(3) && said.contains("DATA_KEYS is required") && !said.contains("JWT_SECRET"), "{said}");
    assert_eq!(run(&folder, &["rekey"], &[database, ("DATA_KEYS", DATA_KEYS)]).0, Some(0));
    let (code, said) = run(&folder, &["serve"], &[database]);
    assert!(code == Some(3) && said.contains("JWT_SECRET is required"), "the server uses them all: {said}");
    shop.close().await;
}
