//! The binary's commands that end, as an operator or a script runs them: what they print where, and their exit codes.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::process::serving_env;
use crate::shop::Shop;

const HEADER: &str = "product_slug,category_path,product_name,description,attributes,featured,active,ncm,cfop,origin,weight_grams,\
    height_cm,width_cm,length_cm,images,sku,variant_name,options,price,compare_at,stock";
const TABLE: [&str; 2] = [
    "caneca,Casa,Caneca,,,,,,,,250,30,14,9,,CAN-AZUL,Azul,Cor=Azul,\"39,90\",,10",
    "copo,Casa > Copos,Copo,,,,,,,,200,12,8,8,,COPO,,,\"9,90\",,5",
];

fn table(lines: &[&str]) -> String {
    format!("{HEADER}\n{}\n", lines.join("\n"))
}

fn command(env: &[(&'static str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vitrine"));
    command.current_dir(std::env::temp_dir()).env_clear().envs(env.iter().cloned());
    command
}

fn run<A: AsRef<OsStr>>(env: &[(&'static str, String)], arguments: impl IntoIterator<Item = A>) -> Output {
    command(env).args(arguments).output().unwrap()
}

/// Exit code, standard output, standard error.
fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn env_of(shop: &Shop) -> Vec<(&'static str, String)> {
    serving_env(&shop.database_url().await)
}

/// A folder of its own.
fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("commands-{}", Uuid::new_v4().simple()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[actix_web::test]
async fn a_table_goes_in_and_comes_out_the_same_and_the_audit_log_names_the_command() {
    let (shop, folder) = (Shop::open().await, folder());
    let env = env_of(&shop).await;
    let (old, new) = (folder.join("old.csv"), folder.join("new.csv"));
    std::fs::write(&old, table(&TABLE)).unwrap();
    let (code, said, errors) = told(run(&env, [OsStr::new("import"), old.as_os_str()]));
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "2 product(s) with 2 variant(s) in 2 categories: 2 new, 0 changed\n"),
        "{errors}"
    );
    let row: Value = shop.sql("SELECT jsonb_build_array(actor, action, cause) FROM audit_log").await;
    assert_eq!(row, json!(["command:import", "product.import", "command:import"]));
    let moved: Value = shop.sql("SELECT jsonb_agg(DISTINCT actor) FROM stock_movements").await;
    assert_eq!(moved, json!(["command:import"]));

    assert_eq!(run(&env, [OsStr::new("export"), new.as_os_str()]).status.code(), Some(0));
    let exported = std::fs::read_to_string(&new).unwrap();
    let (code, printed, _) = told(run(&env, ["export"]));
    assert_eq!((code, &printed), (Some(0), &exported), "standard output has the same, and nothing else");
    let route = shop.admin().await.get("/api/admin/products/export").await;
    assert_eq!(String::from_utf8(route.bytes).unwrap(), exported, "and so has the route");
    let excel = run(&env, ["export", "--excel"]).stdout;
    assert!(excel.starts_with("\u{feff}product_slug;".as_bytes()));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "no half a file is left");

    // What came out changes nothing when it goes in again, also through a pipe.
    let mut import = command(&env).args(["import", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(exported.as_bytes()).unwrap();
    let (code, said, _) = told(import.wait_with_output().unwrap());
    assert_eq!((code, said.lines().next().unwrap().ends_with("0 new, 0 changed")), (Some(0), true), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
    shop.close().await;
}

#[actix_web::test]
async fn an_import_sets_the_stock_only_where_it_is_told_to() {
    let (shop, folder) = (Shop::open().await, folder());
    let env = env_of(&shop).await;
    let file = folder.join("products.csv");
    let import = |more: &[&str]| told(run(&env, [&["import", file.to_str().unwrap()], more].concat()));
    std::fs::write(&file, table(&TABLE)).unwrap();
    assert_eq!(import(&[]).0, Some(0));
    let stock = "SELECT stock FROM variants WHERE sku = 'COPO'";
    std::fs::write(&file, table(&[TABLE[0], &TABLE[1].replace(",5", ",50")])).unwrap();
    let (code, said, _) = import(&[]);
    assert_eq!((code, shop.sql::<i32>(stock).await), (Some(0), 5));
    assert!(said.contains("1 variant(s) kept a stock that differs from the table's"), "{said}");
    assert_eq!((import(&["--set-stock"]).0, shop.sql::<i32>(stock).await), (Some(0), 50));
    std::fs::remove_dir_all(&folder).unwrap();
    shop.close().await;
}

#[actix_web::test]
async fn a_table_with_mistakes_is_refused_line_by_line_and_changes_nothing() {
    let (shop, folder) = (Shop::open().await, folder());
    let env = env_of(&shop).await;
    let file = folder.join("products.csv");
    std::fs::write(&file, table(&[TABLE[0], &TABLE[1].replace("\"9,90\"", "abc")])).unwrap();
    let before = shop.row_counts().await;
    let (code, said, errors) = told(run(&env, [OsStr::new("import"), file.as_os_str()]));
    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(errors.contains("line 3: price: "), "{errors}");
    assert_eq!(shop.row_counts().await, before);
    std::fs::write(&file, vec![b'x'; 10 * 1024 * 1024 + 1]).unwrap();
    let (code, _, errors) = told(run(&env, [OsStr::new("import"), file.as_os_str()]));
    assert!(code == Some(1) && errors.contains("file: is larger than 10 MB"), "{code:?} {errors}");
    std::fs::remove_dir_all(&folder).unwrap();
    shop.close().await;
}

#[actix_web::test]
async fn the_operator_gives_a_role_by_command_and_the_audit_log_has_it() {
    let shop = Shop::open().await;
    let customer = shop.customer().await;
    let env = env_of(&shop).await;
    let email: String = shop.sql("SELECT email FROM users").await;
    let role = "SELECT role || '/' || (SELECT count(*) FROM sessions WHERE revoked_at IS NULL) FROM users";
    assert_eq!(shop.sql::<String>(role).await, "user/1");
    let (code, said, errors) = told(run(&env, ["user", "promote", &email.to_uppercase()]));
    assert_eq!(
        (code, said),
        (Some(0), format!("{email} has the role admin now; the account's sessions have ended\n")),
        "{errors}"
    );
    assert_eq!(shop.sql::<String>(role).await, "admin/0");
    let row: Value = shop.sql("SELECT jsonb_build_array(actor, action, entity_id, before, after, cause) FROM audit_log").await;
    let id: Uuid = shop.sql("SELECT id FROM users").await;
    let wanted = json!(["command:promote", "user.role", id, {"role": "user"}, {"role": "admin"}, "command:promote"]);
    assert_eq!(row, wanted);
    // Said again it changes nothing, and so do a stranger's e-mail and a word that is no role.
    assert_eq!(told(run(&env, ["user", "promote", &email])).1, format!("{email} has the role admin already\n"));
    assert_eq!(run(&env, ["user", "promote", "nobody@example.com"]).status.code(), Some(1));
    assert_eq!(run(&env, ["user", "promote", "no-email"]).status.code(), Some(1));
    assert_eq!(run(&env, ["user", "promote", &email, "--role", "king"]).status.code(), Some(2));
    assert_eq!((shop.sql::<i64>("SELECT count(*) FROM audit_log").await, shop.sql::<String>(role).await), (1, "admin/0".into()));
    assert_eq!(run(&env, ["user", "promote", &email, "--role", "shipper"]).status.code(), Some(0));
    assert_eq!(shop.sql::<String>(role).await, "shipper/0");
    drop(customer);
    shop.close().await;
}

#[actix_web::test]
async fn an_audit_for_machines_names_every_rule_and_what_breaks_it() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(3).create().await;
    let env = env_of(&shop).await;
    let (code, said, _) = told(run(&env, ["audit", "--json"]));
    let clean: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &clean["violation_count"]), (Some(0), &json!(0)));
    let names: Vec<&str> = clean["rules"].as_array().unwrap().iter().map(|rule| rule["rule"].as_str().unwrap()).collect();
    assert_eq!(names, vitrine::audit::rules().collect::<Vec<_>>());
    assert!(clean["rules"].as_array().unwrap().iter().all(|rule| rule["took_ms"].is_u64() && rule["violations"] == json!([])));

    shop.execute("UPDATE variants SET stock = stock + 1").await;
    let (code, said, errors) = told(run(&env, ["audit", "--json"]));
    let broken: Value = serde_json::from_str(&said).unwrap();
    let found: Vec<&Value> = broken["rules"].as_array().unwrap().iter().filter(|rule| rule["count"] != json!(0)).collect();
    assert_eq!((code, found.len(), &broken["violation_count"]), (Some(1), 1, &json!(1)), "{said}");
    assert!(found[0]["violations"][0].as_str().unwrap().contains(&shirt.variant_id.to_string()), "{}", found[0]);
    assert!(!errors.contains('\u{1b}'), "bars are for terminals: {errors:?}");
    assert_eq!(run(&env, ["audit", "--json", "--times"]).status.code(), Some(2));
    shop.execute("UPDATE variants SET stock = stock - 1").await;
    shop.close().await;
}

#[test]
fn an_exit_code_tells_a_no_from_a_mistake_and_from_what_could_not_be_tried() {
    let nowhere = serving_env("postgres://nobody@127.0.0.1:1/nothing");
    let code = |output: Output| output.status.code();
    assert_eq!(code(run(&nowhere, ["audit", "--sometimes"])), Some(2));
    assert_eq!(code(run(&nowhere, ["audit"])), Some(3), "no database");
    assert_eq!(code(run(&[], ["audit"])), Some(3), "no environment");
    assert_eq!(code(run(&nowhere, ["import", "/no/such/file.csv"])), Some(3));
    assert_eq!(code(run(&nowhere, ["accountant", "--month", "2026-13", "--out", "x.zip"])), Some(1), "there is no such month");
    let help = told(run(&[], ["--help"])).1;
    for line in ["0  done", "1  it was refused", "2  the arguments are wrong", "3  it could not be tried"] {
        assert!(help.contains(line), "{help}");
    }
}

/// Answers one request with that status. The port.
fn answering(status: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut asked = [0; 1024];
        let count = socket.read(&mut asked).unwrap();
        assert!(asked[..count].starts_with(b"GET /ready HTTP/1.1\r\n"));
        socket.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    });
    port
}

#[test]
fn a_health_check_asks_the_address_that_the_server_listens_on() {
    let health = |host: &str, port: u16| run(&[("HOST", host.to_owned()), ("PORT", port.to_string())], ["health"]).status.code();
    assert_eq!(health("0.0.0.0", answering("200 OK")), Some(0));
    assert_eq!(health("localhost", answering("200 OK")), Some(0));
    assert_eq!(health("", answering("503 Service Unavailable")), Some(1));
    assert_eq!(health("nowhere.invalid", answering("200 OK")), Some(1), "it listens elsewhere");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(health("", closed), Some(1));
}

#[test]
fn shells_and_readers_of_manuals_are_told_of_every_command() {
    let commands =
        ["serve", "worker", "migrate", "import", "export", "user", "audit", "explain", "rekey", "accountant", "completions"];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, errors) = told(run(&[], ["completions", shell]));
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{shell}");
        for command in commands {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    let (code, page, _) = told(run(&[], ["man"]));
    assert_eq!(code, Some(0));
    assert!(page.contains(".TH vitrine 1") && page.contains("Exit codes"), "{page}");
    let folder = folder();
    assert_eq!(run(&[], [OsStr::new("man"), OsStr::new("--out"), folder.as_os_str()]).status.code(), Some(0));
    for command in commands {
        let page = std::fs::read_to_string(folder.join(format!("vitrine-{command}.1"))).unwrap();
        assert!(page.contains(&format!("vitrine\\-{command}")), "{page}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
