//! What is read of a charge.

use super::*;

#[tokio::test]
async fn a_paid_charge_is_read_with_what_came_and_what_went_back() {
    let (_server, bacen) = bank(&[("GET", COB, 200, PAID)]).await;
    let expected = Charge {
        status: ChargeStatus::PartiallyRefunded,
        expires_at: time("2026-10-01T15:30:00Z"),
        paid_at: Some(time("2026-10-01T15:02:00.358Z")),
        end_to_end_id: Some(END_TO_END.to_owned()),
        refunded: Money::from_cents(500),
        ..pending()
    };
    assert_eq!(bacen.read_charge(id(PAYMENT), Lane::Background).await, Ok(Some(expected)));
}

#[tokio::test]
async fn a_single_return_may_stand_without_its_list() {
    let mut body: Value = serde_json::from_str(PAID).expect("JSON");
    body["pix"][0]["devolucoes"] = body["pix"][0]["devolucoes"][0].take();
    let (_server, bacen) = bank(&[("GET", COB, 200, &body.to_string())]).await;
    let charge = bacen.read_charge(id(PAYMENT), Lane::Background).await.expect("read").expect("known");
    assert_eq!((charge.status, charge.refunded), (ChargeStatus::PartiallyRefunded, Money::from_cents(500)));
    assert_eq!(bacen.refunds_of(id(PAYMENT)).await.expect("read").expect("a list").len(), 1);
}

#[tokio::test]
async fn the_state_is_what_status_time_and_money_say_together() {
    let mut body: Value = serde_json::from_str(PAID).expect("JSON");
    body["pix"][0]["devolucoes"] = json!(null);
    let paid = body["pix"].clone();
    let twice = json!([paid[0], paid[0]]);
    let back = json!([{"endToEndId": END_TO_END, "valor": "185.00", "devolucoes": [{"id": "1", "valor": "185.00", "status": "DEVOLVIDO"}]}]);
    let (old, young) = (json!("2026-10-01T15:00:00Z"), json!("2126-10-01T15:00:00Z"));
    let cases = [
        ("ATIVA", &young, json!(null), ChargeStatus::Pending, 18_500),
        ("ATIVA", &old, json!([]), ChargeStatus::Expired, 18_500),
        ("ATIVA", &old, paid.clone(), ChargeStatus::Paid, 18_500),
        ("REMOVIDA_PELO_USUARIO_RECEBEDOR", &young, json!([]), ChargeStatus::Cancelled, 18_500),
        ("REMOVIDA_PELO_PSP", &old, json!([]), ChargeStatus::Cancelled, 18_500),
        ("REMOVIDA_PELO_USUARIO_RECEBEDOR", &old, paid.clone(), ChargeStatus::Paid, 18_500),
        ("CONCLUIDA", &old, json!([]), ChargeStatus::Paid, 18_500),
        ("CONCLUIDA", &old, twice, ChargeStatus::Paid, 37_000),
        ("CONCLUIDA", &old, back, ChargeStatus::Refunded, 18_500),
    ];
    for (status, created, pix, expected, cents) in cases {
        (body["status"], body["calendario"]["criacao"], body["pix"]) = (json!(status), created.clone(), pix);
        let (_server, bacen) = bank(&[("GET", COB, 200, &body.to_string())]).await;
        let charge = bacen.read_charge(id(PAYMENT), Lane::Background).await.expect("read").expect("known");
        assert_eq!((charge.status, charge.amount), (expected, Money::from_cents(cents)), "{body}");
    }
}

#[tokio::test]
async fn a_code_that_the_bank_leaves_out_is_built_from_its_location() {
    let mut body: Value = serde_json::from_str(ATIVA).expect("JSON");
    body["pixCopiaECola"] = json!("");
    let built = "00020101021226760014br.gov.bcb.pix2554pix.example.com/qr/v2/2353c790eefb11eaadc10242ac120002\
        5204000053039865802BR5909RECEBEDOR6006BRASIL62070503***6304";
    let (_server, bacen) = bank(&[("PUT", COB, 201, &body.to_string())]).await;
    let code = bacen.create_charge(&new_charge()).await.expect("created").copy_paste;
    assert_eq!((&code[..code.len() - 4], code.len()), (built, built.len() + 4));
    let (mut only_loc, mut neither) = (body.clone(), body.clone());
    only_loc.as_object_mut().expect("an object").remove("location");
    neither.as_object_mut().expect("an object").retain(|field, _| !field.starts_with("loc"));
    for (body, expected) in [(only_loc, code.as_str()), (neither, "")] {
        let (_server, bacen) = bank(&[("PUT", COB, 201, &body.to_string())]).await;
        assert_eq!(bacen.create_charge(&new_charge()).await.expect("created").copy_paste, expected);
    }
}

#[tokio::test]
async fn a_life_may_be_a_number_a_text_or_left_out() {
    for (life, end) in [("1800", "2126-10-01T15:30:00Z"), ("\"3600\"", "2126-10-01T16:00:00Z"), ("null", "2126-10-02T15:00:00Z")]
    {
        let (_server, bacen) = bank(&[("GET", COB, 200, &ATIVA.replacen("1800", life, 1))]).await;
        assert_eq!(bacen.read_charge(id(PAYMENT), Lane::Background).await.expect("read").expect("known").expires_at, time(end));
    }
}
