use vitrine_kit::refund::{Med, Nature, Obstacle, Origin, Retry};

use super::*;

const NEW_DEVOLUCAO: &str = include_str!("../../fixtures/new_devolucao.json");

fn our_refund(status: RefundStatus) -> Refund {
    Refund {
        refund_id: id(REFUND),
        status,
        amount: Money::from_cents(500),
        end_to_end_id: Some("D12345678202610011510abcdef12345".to_owned()),
        said: None,
    }
}

fn refund_refused(code: &str, message: &str, retry: Retry) -> ProviderError {
    ProviderError::RefundRefused { provider: NAME, code: code.to_owned(), message: message.to_owned(), retry }
}

#[tokio::test]
async fn a_refund_is_looked_for_and_then_put_under_our_refund_id() {
    let unknown = problem("PixDevolucaoNaoEncontrada", 404);
    let (server, bacen) = bank(&[("GET", DEVOLUCAO, 404, &unknown)]).await;
    Mock::given(method("PUT"))
        .and(path(DEVOLUCAO))
        .and(body_json_string(NEW_DEVOLUCAO))
        .respond_with(answer(201, DEVOLUCAO_ANSWER))
        .expect(1)
        .mount(&server)
        .await;
    assert_eq!(bacen.refund(&new_refund()).await, Ok(our_refund(RefundStatus::Processing)));
    assert_eq!(calls(&server).await, [format!("GET {DEVOLUCAO}"), format!("PUT {DEVOLUCAO}")]);
}

#[tokio::test]
async fn a_refund_that_they_have_is_not_put_again() {
    for (theirs, ours) in [
        ("DEVOLVIDO", our_refund(RefundStatus::Done)),
        ("NAO_REALIZADO", our_refund(RefundStatus::Failed(Retry::Unsaid))),
        ("EM_PROCESSAMENTO", our_refund(RefundStatus::Processing)),
        ("SONHANDO", Refund { said: Some("SONHANDO".to_owned()), ..our_refund(RefundStatus::Unclear) }),
    ] {
        let body = DEVOLUCAO_ANSWER.replace("EM_PROCESSAMENTO", theirs);
        let (server, bacen) = bank(&[("GET", DEVOLUCAO, 200, &body)]).await;
        assert_eq!(bacen.refund(&new_refund()).await, Ok(ours.clone()));
        assert_eq!(bacen.read_refund(&new_refund()).await, Ok(Some(ours)));
        assert_eq!(calls(&server).await, [format!("GET {DEVOLUCAO}"), format!("GET {DEVOLUCAO}")]);
    }
}

#[tokio::test]
async fn a_refund_id_that_is_taken_is_read_and_shows_its_own_amount() {
    let other = DEVOLUCAO_ANSWER.replace("5.00", "4.00");
    for (status, body) in [(400, problem("PixDevolucaoInvalida", 400)), (409, efi("devolucao_id_duplicado"))] {
        let (server, bacen) = bank(&[("PUT", DEVOLUCAO, status, &body)]).await;
        let first = Mock::given(method("GET")).and(path(DEVOLUCAO)).respond_with(answer(400, &efi("devolucao_nao_encontrada")));
        first.up_to_n_times(1).mount(&server).await;
        Mock::given(method("GET")).and(path(DEVOLUCAO)).respond_with(answer(200, &other)).mount(&server).await;
        let refund = bacen.refund(&new_refund()).await;
        assert_eq!(refund, Ok(Refund { amount: Money::from_cents(400), ..our_refund(RefundStatus::Processing) }));
    }
    let unknown = efi("devolucao_nao_encontrada");
    let invalid = problem("PixDevolucaoInvalida", 400);
    let (_server, bacen) = bank(&[("GET", DEVOLUCAO, 400, &unknown), ("PUT", DEVOLUCAO, 400, &invalid)]).await;
    assert_eq!(bacen.refund(&new_refund()).await, Err(refund_refused("PixDevolucaoInvalida", "Erro", Retry::Unsaid)));
}

#[tokio::test]
async fn a_return_that_is_not_made_says_whether_another_may_be() {
    let unknown = efi("devolucao_nao_encontrada");
    for (motivo, retry) in [
        ("Saldo insuficiente", Retry::Later(Obstacle::Balance)),
        ("AM02 - limite do dia", Retry::Later(Obstacle::Limit)),
        ("Prazo de 90 dias excedido", Retry::Never),
        ("Outro", Retry::Unsaid),
    ] {
        let answered = DEVOLUCAO_ANSWER.replace("\"EM_PROCESSAMENTO\"", &format!("\"NAO_REALIZADO\",\"motivo\":\"{motivo}\""));
        let (_server, bacen) = bank(&[("GET", DEVOLUCAO, 200, &answered)]).await;
        let failed = Refund { said: Some(motivo.to_owned()), ..our_refund(RefundStatus::Failed(retry)) };
        assert_eq!(bacen.read_refund(&new_refund()).await, Ok(Some(failed)));

        let body = json!({"type": "https://pix.bcb.gov.br/api/v2/error/PixDevolucaoInvalida", "status": 400, "detail": motivo});
        let body = body.to_string();
        let (_server, bacen) = bank(&[("GET", DEVOLUCAO, 400, &unknown), ("PUT", DEVOLUCAO, 400, &body)]).await;
        let refused = refund_refused("PixDevolucaoInvalida", motivo, retry);
        assert_eq!(bacen.refund(&new_refund()).await, Err(refused));
    }
}

#[tokio::test]
async fn what_the_payers_bank_took_back_is_told_from_what_the_shop_gave_back() {
    for (natureza, nature, origin) in [
        (json!(null), Nature::Original, Origin::Asked),
        (json!("ORIGINAL"), Nature::Original, Origin::Asked),
        (json!("RETIRADA"), Nature::Withdrawal, Origin::Asked),
        (json!("MED_OPERACIONAL"), Nature::Med(Med::Operational), Origin::Bank(Med::Operational)),
        (json!("MED_FRAUDE"), Nature::Med(Med::Fraud), Origin::Bank(Med::Fraud)),
        (json!("MED_PIX_AUTOMATICO"), Nature::Med(Med::Automatic), Origin::Bank(Med::Automatic)),
        (json!("MED_3"), Nature::Other("MED_3".to_owned()), Origin::Unclear),
    ] {
        let mut body: Value = serde_json::from_str(PAID).expect("JSON");
        body["pix"][0]["devolucoes"][0]["natureza"] = natureza.clone();
        body["pix"][0]["devolucoes"][0]["motivo"] = json!("Golpe");
        let (_server, bacen) = bank(&[("GET", COB, 200, &body.to_string())]).await;
        let theirs = bacen.refunds_of(id(PAYMENT)).await.expect("read").expect("a list");
        assert_eq!((&theirs[0].nature, theirs[0].origin()), (&nature, origin), "{natureza}");
        assert_eq!(theirs[0].said.as_deref(), Some("Golpe"));
        assert_eq!(theirs[0].is_by_the_bank(), matches!(origin, Origin::Bank(_)));
    }
}

#[tokio::test]
async fn a_return_without_a_name_of_its_own_is_named_after_its_pix_where_a_bank_made_it() {
    for (natureza, reference) in [
        (json!("ORIGINAL"), "painel8".to_owned()),
        (json!("MED_FRAUDE"), format!("{END_TO_END}:painel8")),
        (json!("MED_3"), format!("{END_TO_END}:painel8")),
    ] {
        let mut body: Value = serde_json::from_str(PAID).expect("JSON");
        body["pix"][0]["devolucoes"][2]["natureza"] = natureza.clone();
        let (_server, bacen) = bank(&[("GET", COB, 200, &body.to_string())]).await;
        let theirs = bacen.refunds_of(id(PAYMENT)).await.expect("read").expect("a list");
        assert_eq!(theirs[2].reference, reference, "{natureza}");
    }
}

#[tokio::test]
async fn what_went_back_of_a_days_money_is_read_a_page_a_call() {
    let (server, bacen) = bank(&[]).await;
    for (page, body) in
        [("0", include_str!("../../fixtures/received_page0.json")), ("1", include_str!("../../fixtures/received_page1.json"))]
    {
        let asked = Mock::given(method("GET")).and(path("/v2/pix")).and(query_param("paginacao.paginaAtual", page));
        asked.respond_with(answer(200, body)).expect(1).mount(&server).await;
    }
    let day = (time("2026-10-01T00:00:00Z"), time("2026-10-02T00:00:00Z"));
    let first = bacen.returns(day.0, day.1, 0).await.expect("read").expect("a list");
    let seen: Vec<_> = first.received.iter().map(|one| (one.payment_id, one.refunds.len())).collect();
    assert_eq!((first.is_last, seen), (false, vec![(Some(id(PAYMENT)), 1), (None, 0)]), "of our key alone");
    let back = &first.received[0].refunds[0];
    assert_eq!((back.refund_id, back.status, back.amount.cents()), (Some(id(REFUND)), RefundStatus::Done, 500));
    let second = bacen.returns(day.0, day.1, 1).await.expect("read").expect("a list");
    assert_eq!((second.is_last, second.received.len()), (true, 1));
    let beyond = bacen.returns(day.0, day.1, MAX_PAGES).await;
    assert_eq!(beyond, Err(rejected("too_many_pages", "there are more than 1000 pages of received PIX")));
}

#[tokio::test]
async fn a_bank_shows_no_disputes() {
    let bacen = bacen("http://bank");
    assert_eq!(bacen.read_dispute(END_TO_END).await, Ok(None));
    assert_eq!(bacen.disputes(time("2026-10-01T00:00:00Z")).await, Ok(None));
    let refused = bacen.submit_evidence(END_TO_END, &[]).await;
    assert_eq!(refused, Err(rejected("no_evidence", "evidence cannot be sent to this provider")));
}

#[tokio::test]
async fn an_end_to_end_id_that_we_do_not_know_is_asked_for() {
    let unnamed = NewRefund { end_to_end_id: None, ..new_refund() };
    let (server, bacen) = bank(&[("GET", COB, 200, PAID), ("GET", DEVOLUCAO, 200, DEVOLUCAO_ANSWER)]).await;
    assert_eq!(bacen.refund(&unnamed).await, Ok(our_refund(RefundStatus::Processing)));
    assert_eq!(calls(&server).await, [format!("GET {COB}"), format!("GET {DEVOLUCAO}")]);
    let (_server, bacen) = bank(&[("GET", COB, 200, ATIVA)]).await;
    assert_eq!(bacen.read_refund(&unnamed).await, Ok(None));
    let reason = "the bank does not show the payment yet".to_owned();
    let not_yet = ProviderError::Unavailable { provider: NAME, reason, retry_after_s: None };
    assert_eq!(bacen.refund(&unnamed).await, Err(not_yet));
}

#[tokio::test]
async fn all_refunds_of_a_charge_are_told_also_those_that_are_not_ours() {
    let (_server, bacen) = bank(&[("GET", COB, 200, PAID)]).await;
    let refund = |refund_id: Option<&str>, reference: &str, status, cents| TheirRefund {
        refund_id: refund_id.map(id),
        reference: reference.to_owned(),
        status,
        amount: Money::from_cents(cents),
        nature: Nature::Original,
        said: None,
    };
    let expected = vec![
        refund(Some(REFUND), "D12345678202610011510abcdef12345", RefundStatus::Done, 500),
        refund(None, "D12345678202610011511abcdef12345", RefundStatus::Processing, 300),
        refund(None, "painel8", RefundStatus::Failed(Retry::Unsaid), 200),
    ];
    assert_eq!(bacen.refunds_of(id(PAYMENT)).await, Ok(Some(expected)));
}
