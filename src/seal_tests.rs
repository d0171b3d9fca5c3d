use std::time::Duration;

use secrecy::SecretString;

use super::*;

const ONE: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const TWO: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

fn keys(data_keys: &[(i16, &str)], look_ups: &[i16]) -> Keys {
    let auth = AuthConfig {
        jwt_secret: SecretString::from("unused"),
        jwt_ttl: Duration::from_secs(1),
        refresh_ttl: Duration::from_secs(1),
        data_keys: data_keys.iter().map(|(id, key)| (*id, SecretString::from(*key))).collect(),
        first_admin: None,
    };
    let look_ups = look_ups.iter().map(|id| LookUp { id: *id, key: [*id as u8; 32] }).collect();
    Keys::new(Vault::new(&auth).expect("good keys"), look_ups, &[7; 32]).expect("complete")
}

fn cpf() -> TaxId {
    TaxId::parse("529.982.247-25").expect("valid")
}

#[test]
fn the_first_key_seals_and_all_of_them_open() {
    let (old, new) = (keys(&[(1, ONE)], &[1]), keys(&[(2, TWO), (1, ONE)], &[1, 2]));
    let (by_old, by_new) = (old.seal(&cpf()).expect("sealed"), new.seal(&cpf()).expect("sealed"));
    assert_eq!((by_old.key, by_new.key), (1, 2));
    assert_eq!(new.open(&by_old.sealed, 1).expect("opened"), cpf());
    assert_eq!(new.open(&by_new.sealed, 2).expect("opened"), cpf());
    assert!(old.open(&by_new.sealed, 2).is_err() && new.open(&by_old.sealed, 2).is_err());
}

#[test]
fn what_was_sealed_as_one_thing_cannot_be_opened_as_another() {
    let keys = keys(&[(1, ONE)], &[1]);
    let sealed = keys.vault().seal(Kind::Totp, b"52998224725").expect("sealed");
    assert!(keys.open(&sealed, 1).is_err());
    assert_eq!(keys.vault().open(Kind::Totp, &sealed, 1).expect("opened"), b"52998224725");
}

#[test]
fn a_hash_is_turned_without_the_document_and_both_servers_know_both() {
    let (before, announced, after) =
        (keys(&[(1, ONE)], &[1]), keys(&[(1, ONE), (2, TWO)], &[1, 2]), keys(&[(2, TWO), (1, ONE)], &[1, 2]));
    assert_eq!(before.person(&cpf()), announced.person(&cpf()));
    assert_ne!(before.person(&cpf()), after.person(&cpf()));
    assert_eq!(after.turn(&before.person(&cpf()), 1), Some(after.person(&cpf())));
    let (mut theirs, mut ours) = (announced.persons(&cpf()), after.persons(&cpf()));
    assert_eq!((&theirs[0], &ours[0]), (&before.person(&cpf()), &after.person(&cpf())), "the one that is written comes first");
    theirs.sort();
    ours.sort();
    assert_eq!(theirs, ours);
    assert_eq!(after.turn(b"x", 2), Some(b"x".to_vec()), "by the current key already");
    assert_eq!(
        (announced.turn(b"x", 2), after.turn(b"x", 3)),
        (None, None),
        "there is no way back, and none from an unknown key"
    );
}
