//! eNotas' words: an invoice as it is sent, field by field, and as it is shown. What is the issuer's stands in the
//! company's record, which is the sandbox's configuration.

use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::books::nfe::{Nfe, NfeStatus};
use crate::books::nfe_draft::{Difal, Draft, DraftItem, IbsCbs, IbsCbsAmounts, Party, Reduced, ReformTax, Sums, Tax};
use crate::formats::time::{local, wire_time};
use crate::providers::nfe::classifications::{bears_amounts, reduction};
use crate::providers::nfe::fields::Fields;
use crate::providers::nfe::rules::HOMOLOGATION_NAME;
use crate::world::World;
use crate::world::config::SandboxConfig;

type Problems = Vec<(String, String)>;

pub(crate) fn draft(body: &Map<String, Value>, cfg: &SandboxConfig) -> Result<Draft, Problems> {
    let mut f = Fields::new(body, "");
    let mut problems = Problems::new();
    let production = match f.text("ambienteEmissao", 1, 20).as_str() {
        "Producao" => true,
        "Homologacao" => false,
        _ => {
            f.wrong("ambienteEmissao", "deve ser Producao ou Homologacao");
            false
        }
    };
    if production != cfg.nfe_is_production {
        f.wrong("ambienteEmissao", "a empresa não está habilitada para este ambiente");
    }
    let issued_at = f.text("dataEmissao", 20, 30).parse().unwrap_or_else(|_| {
        f.wrong("dataEmissao", "deve ser data e hora");
        jiff::Timestamp::UNIX_EPOCH
    });
    let mut items = Vec::new();
    for (at, map) in f.objects("itens").into_iter().enumerate() {
        let mut fields = Fields::new(map, &format!("itens[{at}]."));
        items.push(item(&mut fields, at, issued_at));
        problems.append(&mut fields.problems);
    }
    if items.is_empty() {
        f.wrong("itens", "é obrigatório");
    }
    let (buyer, buyer_indicator) = buyer(&f, production, &mut problems);
    let is_entry = one_of(&mut f, "tipoOperacao", &["Entrada", "Saida"]) == 0;
    let purpose = [1, 4][one_of(&mut f, "finalidade", &["Normal", "DevolucaoMercadoria"])];
    let presences = ["NaoSeAplica", "OperacaoPresencial", "OperacaoPelaInternet"];
    let presence = [0, 1, 2][one_of(&mut f, "indicadorPresencaConsumidor", &presences)];
    let (freight_mode, volumes, weight_grams) = transport(&f, &mut problems);
    let issuer = company(cfg);
    let key = |map: &Map<String, Value>| map.get("chaveAcesso").and_then(Value::as_str).map(str::to_owned);
    let mut draft = Draft {
        production,
        nature: f.text("naturezaOperacao", 1, 60),
        issued_at,
        is_entry,
        purpose,
        destination: if presence == 1 || issuer.state == buyer.state { 1 } else { 2 },
        is_final_consumer: body.get("consumidorFinal") == Some(&Value::Bool(true)),
        presence,
        intermediary: (presence == 2).then_some(0),
        freight_mode,
        referenced: f.objects("nfeReferenciada").into_iter().find_map(key),
        issuer,
        regime: cfg.nfe_regime,
        series: 1,
        buyer,
        buyer_indicator,
        items,
        totals: Sums::default(),
        payments: payments(&f, &mut problems),
        volumes,
        weight_grams,
        notes: f.optional_text("informacoesAdicionais", 1, 5000).unwrap_or_default(),
    };
    draft.totals = draft.sums();
    problems.append(&mut f.problems);
    if problems.is_empty() { Ok(draft) } else { Err(problems) }
}

/// Which of them it is; the first where it is none.
fn one_of(f: &mut Fields<'_>, name: &str, of: &[&str]) -> usize {
    let word = f.text(name, 1, 60);
    of.iter().position(|known| *known == word).unwrap_or_else(|| {
        f.wrong(name, "não é um valor da lista");
        0
    })
}

/// The company's record.
fn company(cfg: &SandboxConfig) -> Party {
    Party {
        name: "LOJA VITRINE LTDA".into(),
        trade_name: Some(cfg.merchant_name.clone()),
        tax_id: cfg.nfe_cnpj.clone(),
        state_registration: Some("123456789110".into()),
        street: "Avenida Paulista".into(),
        number: "1000".into(),
        complement: None,
        district: "Bela Vista".into(),
        city: "São Paulo".into(),
        ibge_city: "3550308".into(),
        state: "SP".into(),
        cep: "01310100".into(),
        phone: None,
    }
}

fn buyer(f: &Fields<'_>, production: bool, problems: &mut Problems) -> (Party, u8) {
    let map = f.object("cliente");
    let mut f = Fields::new(&map, "cliente.");
    let address = f.object("endereco");
    let mut a = Fields::new(&address, "cliente.endereco.");
    let name = f.text("nome", 2, 60);
    let indicator = [1, 2, 9][one_of(&mut f, "indicadorContribuinteICMS", &["Contribuinte", "Isento", "NaoContribuinte"])];
    let tax_id = f.text("cpfCnpj", 11, 14);
    let person = one_of(&mut f, "tipoPessoa", &["F", "J"]);
    if tax_id.len() != [11, 14][person] {
        f.wrong("tipoPessoa", "difere do documento");
    }
    let party = Party {
        name: if production { name } else { HOMOLOGATION_NAME.to_owned() }, // theirs, not the caller's, to say
        trade_name: None,
        tax_id,
        state_registration: f.optional_text("inscricaoEstadual", 2, 14),
        street: a.text("logradouro", 2, 60),
        number: a.text("numero", 1, 60),
        complement: a.optional_text("complemento", 1, 60),
        district: a.text("bairro", 2, 60),
        city: a.text("cidade", 2, 60),
        ibge_city: String::new(),
        state: a.text("uf", 2, 2),
        cep: a.digits("cep", 8),
        phone: f.optional_text("telefone", 6, 14),
    };
    problems.append(&mut f.problems);
    problems.append(&mut a.problems);
    (party, indicator)
}

fn item(f: &mut Fields<'_>, at: usize, issued_at: Timestamp) -> DraftItem {
    let (quantity_e4, unit_price_e4) = (f.decimal("quantidade", 4), f.decimal("valorUnitario", 4));
    let gross = i128::from(quantity_e4) * i128::from(unit_price_e4);
    let gross_cents = i64::try_from((gross + 500_000) / 1_000_000).unwrap_or(i64::MAX);
    let (discount_cents, freight_cents) =
        (f.optional_decimal("descontos", 2).unwrap_or(0), f.optional_decimal("frete", 2).unwrap_or(0));
    let taxes = f.object("impostos");
    let taxes = Fields::new(&taxes, "");
    let (icms, pis, cofins, ibs_cbs) =
        (taxes.object("icms"), taxes.object("pis"), taxes.object("cofins"), taxes.object("ibsCbs"));
    let mut i = Fields::new(&icms, "icms.");
    let own = i.optional_decimal("baseCalculo", 2).map(|base_cents| {
        let rate_e4 = i.decimal("aliquota", 4);
        Tax { base_cents, rate_e4, value_cents: i.optional_decimal("valor", 2).unwrap_or_else(|| share(base_cents, rate_e4)) }
    });
    let taxable = gross_cents - discount_cents + freight_cents - own.map_or(0, |own| own.value_cents);
    let contribution = |map: &Map<String, Value>, name: &str| {
        let mut f = Fields::new(map, name);
        let situation = f.digits("situacaoTributaria", 2);
        let by_rate = f.object("porAliquota");
        let rate = Fields::new(&by_rate, name).optional_decimal("aliquota", 4);
        let tax = rate.map(|rate_e4| Tax { base_cents: taxable, rate_e4, value_cents: share(taxable, rate_e4) });
        (situation, tax, f.problems)
    };
    let (pis_situation, pis, mut pis_problems) = contribution(&pis, "pis.");
    let (cofins_situation, cofins, mut cofins_problems) = contribution(&cofins, "cofins.");
    let item = DraftItem {
        number: u32::try_from(at + 1).unwrap_or(u32::MAX),
        code: f.text("codigo", 1, 60),
        name: f.text("descricao", 1, 120),
        ncm: f.digits("ncm", 8),
        cest: f.optional_text("cest", 7, 7),
        cfop: f.digits("cfop", 4),
        unit: f.text("unidadeMedida", 1, 6),
        quantity_e4,
        unit_price_e4,
        gross_cents,
        discount_cents,
        freight_cents,
        origin: i.code("origem", &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        situation: i.text("situacaoTributaria", 2, 3),
        fcp: None,
        difal: difal(&mut i),
        icms: own,
        icms_reduction_e4: i.optional_decimal("percentualReducaoBaseCalculo", 4),
        pis_situation,
        pis,
        cofins_situation,
        cofins,
        ibs_cbs: reform(&ibs_cbs, taxable, issued_at),
        approximate_cents: approximate(f, gross_cents - discount_cents + freight_cents),
        referenced: None,
    };
    for problem in [&mut i.problems, &mut pis_problems, &mut cofins_problems] {
        f.problems.append(problem);
    }
    item
}

fn difal(f: &mut Fields<'_>) -> Option<Difal> {
    let base_cents = f.optional_decimal("baseCalculoUFDestinoDifal", 2)?;
    Some(Difal {
        base_cents,
        internal_e4: f.decimal("aliquotaUFDestinoDifal", 4),
        interstate_e4: f.decimal("aliquotaInterestadualDifal", 4),
        value_cents: f.decimal("valorUFDestinoDifal", 2),
        fcp_rate_e4: f.optional_decimal("percentualFCPDifal", 4).unwrap_or(0),
        fcp_cents: f.optional_decimal("valorFCPDifal", 2).unwrap_or(0),
    })
}

/// By the classification's reduction and the rates of the day: 2026's, or from 2027 on IBS 0.05 % each, and 8.70 % as an example of a
/// CBS that is not fixed yet, inside the price.
fn reform(map: &Map<String, Value>, taxable: i64, issued_at: Timestamp) -> Option<IbsCbs> {
    let classification = map.get("classificacaoTributaria")?.as_str()?.to_owned();
    let situation = map.get("situacaoTributaria").and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_test_year = local(issued_at).date() < date(2027, 1, 1);
    let rates = if is_test_year { [1_000, 0, 9_000] } else { [500, 500, 87_000] };
    let by_e4 = i64::from(reduction(&classification).unwrap_or(0)) * 10_000;
    let reduced = |rate_e4: i64| {
        let to_e4 = rate_e4 * (1_000_000 - by_e4) / 1_000_000;
        (to_e4, (by_e4 > 0).then_some(Reduced { by_e4, to_e4 }))
    };
    let held: i64 = if is_test_year { 0 } else { rates.iter().map(|rate_e4| reduced(*rate_e4).0).sum() };
    let whole = i128::from(1_000_000 + held);
    let base_cents = i64::try_from((i128::from(taxable) * 1_000_000 + whole / 2) / whole).unwrap_or(i64::MAX);
    let [ibs_state, ibs_city, cbs] = rates.map(|rate_e4| {
        let (to_e4, reduced) = reduced(rate_e4);
        ReformTax { rate_e4, reduced, value_cents: share(base_cents, to_e4) }
    });
    let amounts = IbsCbsAmounts { base_cents, ibs_state, ibs_city, cbs };
    let amounts = bears_amounts(&situation).then_some(amounts);
    Some(IbsCbs { situation, classification, amounts })
}

/// The estimate of taxes, from its share of the price; it needs its source.
fn approximate(f: &mut Fields<'_>, cents: i64) -> Option<i64> {
    let taxes = f.object("impostos");
    let estimate = Fields::new(&taxes, "").object("percentualAproximadoTributos");
    let mut said = Fields::new(&estimate, "percentualAproximadoTributos.");
    let simple = said.object("simplificado");
    let rate_e4 = Fields::new(&simple, "").optional_decimal("percentual", 4)?;
    said.text("fonte", 1, 60);
    f.problems.append(&mut said.problems);
    Some(share(cents, rate_e4))
}

/// Half up.
fn share(cents: i64, rate_e4: i64) -> i64 {
    let value = (i128::from(cents) * i128::from(rate_e4) + 500_000).div_euclid(1_000_000);
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn payments(f: &Fields<'_>, problems: &mut Problems) -> Vec<(String, i64)> {
    const KINDS: [(&str, &str); 6] = [
        ("Dinheiro", "01"),
        ("CartaoDeCredito", "03"),
        ("CartaoDeDebito", "04"),
        ("PagamentoInstantaneoPix", "17"),
        ("TransferenciaBancariaCarteiraDigital", "18"),
        ("SemPagamento", "90"),
    ];
    let order = f.object("pedido");
    let payment = Fields::new(&order, "").object("pagamento");
    let payment = Fields::new(&payment, "");
    let mut payments = Vec::new();
    for map in payment.objects("formas") {
        let mut f = Fields::new(map, "pedido.pagamento.formas.");
        let kind = KINDS[one_of(&mut f, "tipo", &KINDS.map(|(name, _)| name))].1;
        let company = f.object("credenciadoraCartao");
        if matches!(kind, "03" | "04" | "17") && !company.contains_key("tipoIntegracaoPagamento") {
            f.wrong("credenciadoraCartao.tipoIntegracaoPagamento", "é obrigatório");
        }
        payments.push((kind.to_owned(), f.decimal("valor", 2)));
        problems.append(&mut f.problems);
    }
    if payments.is_empty() {
        problems.push(("pedido.pagamento.formas".into(), "é obrigatório".into()));
    }
    payments
}

fn transport(f: &Fields<'_>, problems: &mut Problems) -> (u8, u32, i64) {
    let map = f.object("transporte");
    let transport = Fields::new(&map, "");
    let (freight, volume) = (transport.object("frete"), transport.object("volume"));
    let mut f = Fields::new(&freight, "transporte.frete.");
    let mode = [0, 1, 9][one_of(
        &mut f,
        "modalidade",
        &["ContratacaoPorContaDoRemetente", "ContratacaoPorContaDoDestinatario", "SemOcorrenciaDeTransporte"],
    )];
    problems.append(&mut f.problems);
    let mut volume = Fields::new(&volume, "");
    let count = volume.optional_decimal("quantidade", 0).and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    (mode, count, volume.optional_decimal("pesoBruto", 3).unwrap_or(0))
}

/// Its files are written some time after the authorisation. One answer asks with one `now`, so that its status and its links agree.
pub(crate) fn has_files(world: &World, nfe: &Nfe, now: Timestamp) -> bool {
    let wait = SignedDuration::try_from(world.cfg.enotas_files_after).unwrap_or(SignedDuration::ZERO);
    nfe.authorized_at.is_some_and(|at| now.duration_since(at) >= wait)
}

pub(crate) fn status(world: &World, nfe: &Nfe, now: Timestamp) -> &'static str {
    match nfe.status {
        NfeStatus::Processing => "EmProcessoDeAutorizacao",
        NfeStatus::Authorized if nfe.is_cancel_refused => "CancelamentoNegado",
        NfeStatus::Authorized if !has_files(world, nfe, now) => "AutorizadaAguardandoGeracaoPDF",
        NfeStatus::Authorized => "Autorizada",
        NfeStatus::Rejected => "Negada",
        NfeStatus::Denied => "Denegada",
        NfeStatus::Cancelling => "EmProcessoDeCancelamento",
        NfeStatus::Cancelled => "Cancelada",
    }
}

/// Why it is so, where somebody refused.
fn reason(nfe: &Nfe) -> Option<String> {
    let is_refused = nfe.is_cancel_refused || matches!(nfe.status, NfeStatus::Rejected | NfeStatus::Denied);
    is_refused.then(|| format!("{} - {}", nfe.code.as_deref().unwrap_or(""), nfe.message.as_deref().unwrap_or("")))
}

fn link(world: &World, nfe: &Nfe, file: &str, now: Timestamp) -> Option<String> {
    nfe.key
        .as_ref()
        .filter(|_| nfe.status != NfeStatus::Denied && has_files(world, nfe, now))
        .map(|key| format!("{}/nfe/{key}/{file}", world.url))
}

/// As GET shows it.
pub(crate) fn view(world: &World, nfe: &Nfe) -> Value {
    let now = Timestamp::now();
    json!({
        "id": nfe.reference,
        "tipo": "NF-e",
        "ambienteEmissao": if nfe.draft.production { "Producao" } else { "Homologacao" },
        "status": status(world, nfe, now),
        "motivoStatus": reason(nfe),
        "enviadaPorEmail": false,
        "dataCriacao": wire_time(nfe.created_at),
        "dataUltimaAlteracao": wire_time(nfe.cancelled_at.or(nfe.authorized_at).unwrap_or(nfe.created_at)),
        "numero": nfe.number,
        "serie": nfe.series.to_string(),
        "chaveAcesso": nfe.key,
        "dataEmissao": wire_time(nfe.draft.issued_at),
        "dataAutorizacao": nfe.authorized_at.map(wire_time),
        "linkDanfe": link(world, nfe, "danfe", now),
        "linkDownloadXml": link(world, nfe, "xml", now),
        "protocolo": nfe.protocol.as_ref().map(|number| json!({"numero": number, "digestValue": nfe.request_hash})),
        "emitidaEmContingencia": false,
        "valorTotal": serde_json::from_str::<Value>(&format!("{}.{:02}", nfe.total_cents / 100, nfe.total_cents % 100)).ok(),
        "informacoesAdicionais": nfe.draft.notes,
    })
}

/// As the webhook tells it: flat.
pub(crate) fn told(world: &World, nfe: &Nfe) -> Value {
    let now = Timestamp::now();
    json!({
        "tipo": "NF-e",
        "empresaId": world.cfg.enotas_company_id,
        "nfeId": nfe.reference,
        "nfeStatus": status(world, nfe, now),
        "nfeMotivoStatus": reason(nfe),
        "nfeLinkDanfe": link(world, nfe, "danfe", now),
        "nfeLinkXml": link(world, nfe, "xml", now),
        "conteudoQRCode": null,
        "nfeNumero": nfe.number.map(|number| number.to_string()),
        "nfeSerie": nfe.series.to_string(),
        "nfeChaveAcesso": nfe.key,
        "nfeDataEmissao": wire_time(nfe.draft.issued_at),
        "nfeDataAutorizacao": nfe.authorized_at.map(wire_time),
        "nfeNumeroProtocolo": nfe.protocol,
        "nfeDigestValue": nfe.request_hash,
        "nfeWebHookMetadados": null,
    })
}
