use super::*;

#[tokio::test]
async fn how_much_came_is_never_taken_from_what_was_asked_for() {
    let silent = json!({"id": "pi_3Q", "amount": 18500, "currency": "brl", "status": "succeeded", "latest_charge": "ch_1"});
    let (_server, stripe) = answering(200, &silent.to_string()).await;
    assert_eq!(stripe.read("pi_3Q", Lane::Buyer).await.expect_err("silent"), unclear("does not say how much came"));
    assert_eq!(stripe.create(&new_intent(1)).await.expect_err("silent"), unclear("does not say how much came"));
    let mut told = silent.clone();
    told["latest_charge"] = json!({"id": "ch_1", "amount": 18500, "amount_captured": 18000});
    let (_server, stripe) = answering(200, &told.to_string()).await;
    let intent = stripe.read("pi_3Q", Lane::Buyer).await.expect("read").expect("known");
    assert_eq!(intent.amount_received, Money::from_cents(18_000));

    let (_server, stripe) = answering_with(list(&[&silent.to_string()])).await;
    assert_eq!(stripe.received(at(0), at(1)).await, Err(unclear("does not say how much came")));
}
