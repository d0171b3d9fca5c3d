use secrecy::ExposeSecret;

use super::*;

const GOOD: [(&str, &str); 10] = [
    ("DATABASE_URL", "postgres://u:p@localhost/vitrine"),
    ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
    ("DATA_KEYS", "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
    ("PROPAY_URL", "https://propay.internal/"),
    ("GO_TO_PROPAY_SECRET", "aaaaaaaaaaaaaaaaaaaa"),
    ("PROPAY_TO_GO_SECRET", "bbbbbbbbbbbbbbbbbbbb"),
    ("SHIPPING_SENDER_CEP", "01310-100"),
    ("SHIPPING_API_KEY", "key"),
    ("RESEND_API_KEY", "re_key"),
    ("ALLOWED_ORIGINS", "https://shop.example"),
];

fn read(mode: Mode, changes: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::from_env(mode, |name| {
        let changed = changes.iter().find(|(n, _)| *n == name);
        changed.or_else(|| GOOD.iter().find(|(n, _)| *n == name)).map(|(_, v)| (*v).to_owned())
    })
}

fn mistakes(changes: &[(&str, &str)]) -> Vec<String> {
    read(Mode::Serve, changes).map(|_| Vec::new()).unwrap_or_else(|e| e.0)
}

#[test]
fn a_complete_environment_is_taken_with_the_documented_defaults() {
    let config = read(Mode::Serve, &[]).expect("good");
    assert_eq!(config.http.port, 4444);
    assert_eq!(config.auth.jwt_ttl, Duration::from_secs(86_400));
    assert_eq!(config.auth.refresh_ttl, Duration::from_secs(7 * 86_400));
    assert_eq!(config.pix.expiry, Duration::from_secs(1800));
    let [PixSettings::ProPay(propay)] = &config.pix.providers[..] else { panic!("ProPay alone is the default") };
    assert_eq!((propay.url.as_str(), propay.timeout), ("https://propay.internal", Duration::from_secs(5)));
    assert!(config.stripe.is_none());
    assert_eq!(config.limits.login, Some(Limit { burst: 5, per: Duration::from_secs(20) }));
    assert_eq!(config.breaker.threshold, 5);
    assert_eq!((config.database.min_conns, config.database.max_conns), (10, 100));
}

#[test]
fn every_mistake_is_named_in_one_message() {
    let found = mistakes(&[("PORT", "eighty"), ("JWT_SECRET", "short"), ("PIX_EXPIRY", "soon"), ("SHIPPING_SENDER_CEP", "123")]);
    let names: Vec<_> = found.iter().map(|m| m.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(names, ["PORT", "JWT_SECRET", "PIX_EXPIRY", "SHIPPING_SENDER_CEP"]);
}

#[test]
fn outside_dev_a_wildcard_origin_is_refused() {
    assert_eq!(mistakes(&[("ALLOWED_ORIGINS", "*")]).len(), 1);
    assert!(read(Mode::Dev, &[("ALLOWED_ORIGINS", "*")]).is_ok());
}

#[test]
fn default_and_short_secrets_are_refused_outside_dev() {
    let weak =
        ["changeme-changeme-changeme-changeme", "go-to-propay-development-only-secret", "0123456789abcdef0123456789abcde", ""];
    for weak in weak {
        assert_eq!(mistakes(&[("JWT_SECRET", weak)]).len(), 1, "{weak:?}");
    }
}

#[test]
fn without_a_key_for_personal_data_nothing_starts() {
    let names = |value: &str| {
        mistakes(&[("DATA_KEYS", value)]).iter().map(|m| m.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let same = "1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for bad in
        ["", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "0:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "1:MDEy", same]
    {
        assert_eq!(names(bad), ["DATA_KEYS"], "{bad:?}");
    }
    assert!(read(Mode::Dev, &[("DATA_KEYS", "")]).is_err(), "`dev` makes one and keeps it");
    let twice = format!("{0},{0}", GOOD[2].1);
    assert_eq!(names(&twice), ["DATA_KEYS"]);
}

#[test]
fn a_webhook_secret_that_could_verify_nothing_is_refused() {
    for bad in ["whsec_", "whsec_???", "not base64!"] {
        assert_eq!(mistakes(&[("RESEND_WEBHOOK_SECRET", bad)]).len(), 1, "{bad}");
    }
    assert!(read(Mode::Serve, &[("RESEND_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]).is_ok());
}

#[test]
fn one_secret_for_both_propay_directions_is_refused() {
    let found = mistakes(&[("PROPAY_TO_GO_SECRET", "aaaaaaaaaaaaaaaaaaaa")]);
    assert_eq!(found, ["PROPAY_TO_GO_SECRET must differ from GO_TO_PROPAY_SECRET: one secret per direction"]);
}

#[test]
fn a_slash_at_the_end_of_a_banks_address_is_kept() {
    let bank = [
        ("PIX_PROVIDER", "bacen"),
        ("PIX_CERTIFICATE", "-----BEGIN CERTIFICATE-----"),
        ("PIX_CLIENT_ID", "id"),
        ("PIX_CLIENT_SECRET", "b4nk-0f-th3-sh0p"),
        ("PIX_KEY", "loja@loja.com.br"),
        ("PIX_WEBHOOK_SECRET", "0123456789abcdef"),
    ];
    for url in ["https://bank.example", "https://bank.example/", "https://bank.example/api/", "https://bank.example/api"] {
        let config = read(Mode::Serve, &[&bank[..], &[("PIX_API_URL", url)]].concat()).expect("good");
        let [PixSettings::Bank(bank)] = &config.pix.providers[..] else { panic!("a bank alone") };
        assert_eq!(bank.url, url);
    }
}

#[test]
fn cards_need_no_key_for_the_browser_because_a_storefront_may_have_its_own() {
    let keys = [("STRIPE_SECRET_KEY", "sk_test_loja"), ("STRIPE_WEBHOOK_SECRET", "whsec_loja")];
    let stripe = read(Mode::Serve, &keys).expect("good").stripe.expect("cards");
    assert_eq!(stripe.publishable_key, None);
}

#[test]
fn a_zero_switches_a_rate_limit_off() {
    let config = read(Mode::Serve, &[("RATE_LIMIT_GLOBAL", "0")]).expect("good");
    assert_eq!((config.limits.global, config.limits.freight, config.limits.cep), (None, None, None));
    assert!(config.limits.login.is_some() && config.limits.account.is_some());
    let own =
        read(Mode::Serve, &[("RATE_LIMIT_GLOBAL", "0"), ("RATE_LIMIT_CEP", "5/1m"), ("RATE_LIMIT_LOGIN", "0")]).expect("good");
    assert!(own.limits.cep.is_some() && own.limits.account.is_none(), "one that is set counts");
}

#[test]
fn secrets_are_not_printed() {
    let printed = format!("{:?}", read(Mode::Serve, &[]).expect("good"));
    for (name, value) in GOOD.iter().filter(|(n, _)| n.contains("SECRET") || n.contains("DATA")) {
        assert!(!printed.contains(value.trim_start_matches("1:")), "{name}");
    }
}

#[test]
fn each_carrier_needs_its_own_variables_only_where_it_is_named() {
    let post = [("CORREIOS_USER", "loja"), ("CORREIOS_POSTAGE_CARD", "0067599079")];
    let with = |extra: &[(&'static str, &'static str)]| [&post[..], extra].concat();
    let config = read(Mode::Serve, &with(&[("SHIPPING_PROVIDER", "correios")])).expect("one key, one carrier");
    let [CarrierSettings::Correios(correios)] = &config.shipping.carriers[..] else { panic!("Correios alone") };
    assert_eq!((correios.url.as_str(), correios.access_code.expose_secret()), ("https://api.correios.com.br", "key"));
    assert_eq!((correios.services.join(" "), correios.min_box), ("03298 03220 04227".to_owned(), [16, 11, 2]));
    let own = read(Mode::Serve, &with(&[("SHIPPING_PROVIDER", "correios"), ("CORREIOS_API_KEY", "own")])).expect("good");
    let [CarrierSettings::Correios(correios)] = &own.shipping.carriers[..] else { panic!("Correios alone") };
    assert_eq!(correios.access_code.expose_secret(), "own");

    let both =
        read(Mode::Serve, &with(&[("SHIPPING_PROVIDER", " correios , melhorenvio"), ("CORREIOS_API_KEY", "own")])).expect("good");
    let [CarrierSettings::Correios(correios), CarrierSettings::MelhorEnvio(broker)] = &both.shipping.carriers[..] else {
        panic!("both, in their order")
    };
    assert_eq!((correios.access_code.expose_secret(), broker.token.expose_secret()), ("own", "key"));

    let names = |changes: &[(&str, &str)]| {
        mistakes(changes).iter().map(|m| m.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&with(&[("SHIPPING_PROVIDER", "correios,melhorenvio")])), ["CORREIOS_API_KEY"], "one key cannot serve two");
    assert_eq!(names(&[("SHIPPING_PROVIDER", "correios")]), ["CORREIOS_USER", "CORREIOS_POSTAGE_CARD"]);
    for wrong in ["jadlog", "melhorenvio,melhorenvio", ","] {
        assert_eq!(names(&[("SHIPPING_PROVIDER", wrong)]), ["SHIPPING_PROVIDER"], "{wrong}");
    }
    for wrong in ["16x11", "16x11x0", "axbxc", "16x11x2x1", "1600x11x2"] {
        let changes = with(&[("SHIPPING_PROVIDER", "correios"), ("CORREIOS_MIN_BOX", wrong)]);
        assert_eq!(names(&changes), ["CORREIOS_MIN_BOX"], "{wrong}");
    }
}

#[test]
fn a_time_is_a_number_of_hours_or_less_or_of_days_with_24_of_them() {
    for (text, seconds) in [
        ("30s", 30.0),
        ("500ms", 0.5),
        ("15m", 900.0),
        ("24h", 86_400.0),
        ("7d", 604_800.0),
        ("1h30m", 5_400.0),
        ("2w", 1_209_600.0),
    ] {
        assert_eq!(env::parse_duration(text).map(|time| time.as_secs_f64()), Some(seconds), "{text}");
    }
    // A month and a year are not always the same; the others are no time at all.
    for text in ["", "0", "0s", "5", "-5s", "5 parsecs", "1mo", "1y", "18446744073709551615d"] {
        assert_eq!(env::parse_duration(text), None, "{text}");
    }
}
