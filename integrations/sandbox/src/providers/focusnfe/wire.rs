//! Focus NFe's words: an invoice as it is sent, field by field, and as it is shown.

use serde_json::{Map, Value, json};

use crate::books::nfe::{Nfe, NfeStatus};
use crate::books::nfe_draft::{Difal, Draft, DraftItem, IbsCbs, IbsCbsAmounts, Party, Reduced, Referenced, ReformTax, Sums, Tax};
use crate::formats::time::local;
use crate::providers::nfe::fields::Fields;

/// What is wrong: field and words.
type Problems = Vec<(String, String)>;

/// Their schema's part: what is missing or has another form.
pub(crate) fn draft(body: &Map<String, Value>, production: bool) -> Result<Draft, Problems> {
    let mut f = Fields::new(body, "");
    let mut problems = Problems::new();
    let mut items = Vec::new();
    for (at, map) in f.objects("items").into_iter().enumerate() {
        let mut fields = Fields::new(map, &format!("items[{at}]."));
        items.push(item(&mut fields));
        problems.append(&mut fields.problems);
    }
    if items.is_empty() || items.len() > 990 {
        f.wrong("items", "deve ter de 1 a 990 itens");
    }
    let mut payments = Vec::new();
    for (at, map) in f.objects("formas_pagamento").into_iter().enumerate() {
        let mut fields = Fields::new(map, &format!("formas_pagamento[{at}]."));
        let kind = fields.digits("forma_pagamento", 2);
        if matches!(kind.as_str(), "03" | "04" | "17") {
            fields.code("tipo_integracao", &[1, 2]);
        }
        payments.push((kind, fields.decimal("valor_pagamento", 2)));
        problems.append(&mut fields.problems);
    }
    if payments.is_empty() {
        f.wrong("formas_pagamento", "é obrigatório");
    }
    let issued_at = f.text("data_emissao", 20, 30).parse().unwrap_or_else(|_| {
        f.wrong("data_emissao", "deve ser data e hora com fuso");
        jiff::Timestamp::UNIX_EPOCH
    });
    let key = |map: &Map<String, Value>| map.get("chave_nfe").and_then(Value::as_str).map(str::to_owned);
    let mut draft = Draft {
        production,
        nature: f.text("natureza_operacao", 1, 60),
        issued_at,
        is_entry: f.code("tipo_documento", &[0, 1]) == 0,
        purpose: f.code("finalidade_emissao", &[1, 2, 3, 4]),
        destination: f.code("local_destino", &[1, 2, 3]),
        is_final_consumer: f.code("consumidor_final", &[0, 1]) == 1,
        presence: f.code("presenca_comprador", &[0, 1, 2, 3, 4, 5, 9]),
        intermediary: f.optional_decimal("indicador_intermediario", 0).and_then(|code| u8::try_from(code).ok()),
        freight_mode: f.code("modalidade_frete", &[0, 1, 2, 3, 4, 9]),
        referenced: f.objects("notas_referenciadas").into_iter().find_map(key),
        regime: f.code("regime_tributario_emitente", &[1, 2, 3, 4]),
        series: f.optional_decimal("serie", 0).and_then(|series| u16::try_from(series).ok()).unwrap_or(1),
        issuer: party(&mut f, "emitente"),
        buyer: party(&mut f, "destinatario"),
        buyer_indicator: f.code("indicador_inscricao_estadual_destinatario", &[1, 2, 9]),
        items,
        totals: Sums::default(),
        payments,
        volumes: volumes(&f),
        weight_grams: f
            .objects("volumes")
            .first()
            .map_or(0, |map| Fields::new(map, "").optional_decimal("peso_bruto", 3).unwrap_or(0)),
        notes: f.optional_text("informacoes_adicionais_contribuinte", 1, 5000).unwrap_or_default(),
    };
    draft.totals = totals(&mut f, draft.sums());
    problems.append(&mut f.problems);
    if problems.is_empty() { Ok(draft) } else { Err(problems) }
}

fn volumes(f: &Fields<'_>) -> u32 {
    let of = |map: &&Map<String, Value>| map.get("quantidade").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    f.objects("volumes").iter().filter_map(of).sum()
}

fn party(f: &mut Fields<'_>, who: &str) -> Party {
    let is_buyer = who == "destinatario";
    let named = |name: &str| format!("{name}_{who}");
    let cnpj = f.optional_text(&named("cnpj"), 14, 14);
    let cpf = if is_buyer { f.optional_text(&named("cpf"), 11, 11) } else { None };
    let tax_id = cnpj.or(cpf).unwrap_or_else(|| {
        f.wrong(&named("cnpj"), "é obrigatório");
        String::new()
    });
    let state_registration = f.optional_text(&named("inscricao_estadual"), 2, 14);
    if !is_buyer && state_registration.is_none() {
        f.wrong(&named("inscricao_estadual"), "é obrigatório");
    }
    Party {
        name: f.text(&named("nome"), 2, 60),
        trade_name: f.optional_text(&named("nome_fantasia"), 1, 60),
        tax_id,
        state_registration,
        street: f.text(&named("logradouro"), 2, 60),
        number: f.text(&named("numero"), 1, 60),
        complement: f.optional_text(&named("complemento"), 1, 60),
        district: f.text(&named("bairro"), 2, 60),
        city: f.text(&named("municipio"), 2, 60),
        ibge_city: f.optional_text(&named("codigo_municipio"), 7, 7).unwrap_or_default(),
        state: f.text(&named("uf"), 2, 2),
        cep: f.digits(&named("cep"), 8),
        phone: f.optional_text(&named("telefone"), 6, 14),
    }
}

fn item(f: &mut Fields<'_>) -> DraftItem {
    let quantity_e4 = f.decimal("quantidade_comercial", 4);
    let unit_price_e4 = f.decimal("valor_unitario_comercial", 4);
    let taxable = (f.optional_decimal("quantidade_tributavel", 4), f.optional_decimal("valor_unitario_tributavel", 4));
    if taxable != (Some(quantity_e4), Some(unit_price_e4)) && taxable != (None, None) {
        f.wrong("quantidade_tributavel", "difere da comercial com a mesma unidade");
    }
    let number = f.optional_decimal("numero_item", 0).and_then(|number| u32::try_from(number).ok());
    let tax = |f: &mut Fields<'_>, base: &str, rate: &str, value: &str| {
        let (base, rate, value) = (f.optional_decimal(base, 2), f.optional_decimal(rate, 4), f.optional_decimal(value, 2));
        base.zip(rate).zip(value).map(|((base_cents, rate_e4), value_cents)| Tax { base_cents, rate_e4, value_cents })
    };
    let icms = tax(f, "icms_base_calculo", "icms_aliquota", "icms_valor");
    if icms.is_some() {
        f.code("icms_modalidade_base_calculo", &[0, 1, 2, 3]); // without it: "Element 'vBC': This element is not expected"
    }
    DraftItem {
        number: number.unwrap_or_else(|| {
            f.wrong("numero_item", "é obrigatório");
            0
        }),
        code: f.text("codigo_produto", 1, 60),
        name: f.text("descricao", 1, 120),
        ncm: f.digits("codigo_ncm", 8),
        cest: f.optional_text("cest", 7, 7),
        cfop: f.digits("cfop", 4),
        unit: f.text("unidade_comercial", 1, 6),
        quantity_e4,
        unit_price_e4,
        gross_cents: f.decimal("valor_bruto", 2),
        discount_cents: f.optional_decimal("valor_desconto", 2).unwrap_or(0),
        freight_cents: f.optional_decimal("valor_frete", 2).unwrap_or(0),
        origin: f.code("icms_origem", &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        situation: f.text("icms_situacao_tributaria", 2, 3),
        icms,
        icms_reduction_e4: f.optional_decimal("icms_reducao_base_calculo", 4),
        fcp: fund(f, icms),
        difal: difal(f),
        pis_situation: f.digits("pis_situacao_tributaria", 2),
        pis: tax(f, "pis_base_calculo", "pis_aliquota_porcentual", "pis_valor"),
        cofins_situation: f.digits("cofins_situacao_tributaria", 2),
        cofins: tax(f, "cofins_base_calculo", "cofins_aliquota_porcentual", "cofins_valor"),
        ibs_cbs: reform(f),
        approximate_cents: f.optional_decimal("valor_total_tributos", 2),
        referenced: referenced(f),
    }
}

fn reform(f: &mut Fields<'_>) -> Option<IbsCbs> {
    let situation = f.optional_text("ibs_cbs_situacao_tributaria", 3, 3)?;
    let classification = f.digits("ibs_cbs_classificacao_tributaria", 6);
    let amounts = f.optional_decimal("ibs_cbs_base_calculo", 2).map(|base_cents| IbsCbsAmounts {
        base_cents,
        ibs_state: reform_tax(f, "ibs_uf"),
        ibs_city: reform_tax(f, "ibs_mun"),
        cbs: reform_tax(f, "cbs"),
    });
    if let Some(amounts) = &amounts {
        let both = amounts.ibs_state.value_cents + amounts.ibs_city.value_cents;
        if f.optional_decimal("ibs_valor_total", 2) != Some(both) {
            f.wrong("ibs_valor_total", "difere da soma do IBS da UF e do município");
        }
    }
    Some(IbsCbs { situation, classification, amounts })
}

fn reform_tax(f: &mut Fields<'_>, name: &str) -> ReformTax {
    let by = f.optional_decimal(&format!("{name}_percentual_reducao_aliquota"), 4);
    let to = f.optional_decimal(&format!("{name}_aliquota_efetiva"), 4);
    if by.is_some() != to.is_some() {
        f.wrong(&format!("{name}_aliquota_efetiva"), "o grupo de redução pede o percentual e a alíquota efetiva");
    }
    ReformTax {
        rate_e4: f.decimal(&format!("{name}_aliquota"), 4),
        reduced: by.zip(to).map(|(by_e4, to_e4)| Reduced { by_e4, to_e4 }),
        value_cents: f.decimal(&format!("{name}_valor"), 2),
    }
}

fn referenced(f: &mut Fields<'_>) -> Option<Referenced> {
    let key = f.optional_text("chave_acesso_dfe_referenciado", 44, 44);
    let item = f.optional_text("numero_item_dfe_referenciado", 1, 3).and_then(|number| number.parse().ok());
    if key.is_none() && item.is_some() {
        f.wrong("chave_acesso_dfe_referenciado", "é obrigatório com o número do item");
    }
    key.map(|key| Referenced { key, item })
}

/// Without a base of its own it is on the base of the ICMS.
fn fund(f: &mut Fields<'_>, icms: Option<Tax>) -> Option<Tax> {
    let base = f.optional_decimal("fcp_base_calculo", 2);
    let (rate, value) = (f.optional_decimal("fcp_percentual", 4), f.optional_decimal("fcp_valor", 2));
    if rate.is_some() != value.is_some() || (base.is_some() && rate.is_none()) {
        f.wrong("fcp_valor", "o percentual e o valor do FCP vêm juntos");
    }
    let base_cents = base.or(icms.map(|own| own.base_cents)).unwrap_or(0);
    rate.zip(value).map(|(rate_e4, value_cents)| Tax { base_cents, rate_e4, value_cents })
}

fn difal(f: &mut Fields<'_>) -> Option<Difal> {
    let base_cents = f.optional_decimal("icms_base_calculo_uf_destino", 2)?;
    if f.optional_decimal("icms_percentual_partilha", 4) != Some(1_000_000) {
        f.wrong("icms_percentual_partilha", "deve ser 100 desde 2019");
    }
    Some(Difal {
        base_cents,
        internal_e4: f.decimal("icms_aliquota_interna_uf_destino", 4),
        interstate_e4: f.decimal("icms_aliquota_interestadual", 4),
        value_cents: f.decimal("icms_valor_uf_destino", 2),
        fcp_rate_e4: f.optional_decimal("fcp_percentual_uf_destino", 4).unwrap_or(0),
        fcp_cents: f.optional_decimal("fcp_valor_uf_destino", 2).unwrap_or(0),
    })
}

/// What is left out they sum up themselves.
fn totals(f: &mut Fields<'_>, sums: Sums) -> Sums {
    let mut or = |name: &str, sum: i64| f.optional_decimal(name, 2).unwrap_or(sum);
    Sums {
        products: or("valor_produtos", sums.products),
        discount: or("valor_desconto", sums.discount),
        freight: or("valor_frete", sums.freight),
        invoice: or("valor_total", sums.invoice),
        icms_base: or("icms_base_calculo", sums.icms_base),
        icms: or("icms_valor_total", sums.icms),
        icms_destination: or("icms_valor_total_uf_destino", sums.icms_destination),
        fcp_destination: or("fcp_valor_total_uf_destino", sums.fcp_destination),
        fcp: or("fcp_valor_total", sums.fcp),
        pis: or("valor_pis", sums.pis),
        cofins: or("valor_cofins", sums.cofins),
        ibs_cbs_base: or("ibs_cbs_base_calculo", sums.ibs_cbs_base),
        ibs: or("ibs_valor_total", sums.ibs),
        cbs: or("cbs_valor_total", sums.cbs),
        approximate: or("valor_total_tributos", sums.approximate),
    }
}

pub(crate) fn status(nfe: &Nfe) -> &'static str {
    match nfe.status {
        NfeStatus::Processing | NfeStatus::Cancelling => "processando_autorizacao",
        NfeStatus::Authorized => "autorizado",
        NfeStatus::Rejected => "erro_autorizacao",
        NfeStatus::Denied => "denegado",
        NfeStatus::Cancelled => "cancelado",
    }
}

/// Of a file of it, relative to the base address.
pub(crate) fn path(nfe: &Nfe, kind: &str, ending: &str) -> Option<String> {
    let folder = if nfe.draft.production { "arquivos" } else { "arquivos_desenvolvimento" };
    let month = local(nfe.draft.issued_at).strftime("%Y%m").to_string();
    Some(format!("/{folder}/{}/{month}/{kind}/{}{ending}", nfe.cnpj, nfe.key.as_ref()?))
}

/// Only what its state has.
pub(crate) fn view(nfe: &Nfe, wholly: bool) -> Value {
    let mut view = json!({"cnpj_emitente": nfe.cnpj, "ref": nfe.reference, "status": status(nfe)});
    if nfe.status == NfeStatus::Processing {
        return view;
    }
    let is_decided = !nfe.is_cancel_refused; // of a refused cancellation the note keeps its own words
    view["status_sefaz"] = json!(if is_decided { nfe.code.as_deref() } else { Some("100") });
    view["mensagem_sefaz"] = json!(if is_decided { nfe.message.as_deref() } else { Some("Autorizado o uso da NF-e") });
    let (Some(key), Some(number)) = (&nfe.key, nfe.number) else { return view };
    view["chave_nfe"] = json!(format!("NFe{key}"));
    view["numero"] = json!(number.to_string());
    view["serie"] = json!(nfe.series.to_string());
    if nfe.status == NfeStatus::Denied {
        return view;
    }
    view["caminho_xml_nota_fiscal"] = json!(path(nfe, "XMLs", "-nfe.xml"));
    view["caminho_danfe"] = json!(path(nfe, "DANFEs", ".pdf"));
    if nfe.status == NfeStatus::Cancelled {
        view["caminho_xml_cancelamento"] = json!(path(nfe, "XMLs", "-can.xml"));
    }
    if !nfe.letters.is_empty() {
        let number = nfe.letters.len();
        view["numero_carta_correcao"] = json!(number);
        view["caminho_xml_carta_correcao"] = json!(path(nfe, "XMLs", &format!("-cce-{number:02}.xml")));
        view["caminho_pdf_carta_correcao"] = json!(format!("/notas_fiscais/NFe{key}/cartas_correcao/{number}.pdf"));
    }
    if wholly {
        view["protocolo_nota_fiscal"] = json!({
            "numero_protocolo": nfe.protocol,
            "status": "100",
            "motivo": "Autorizado o uso da NF-e",
            "data_recebimento": nfe.authorized_at.map(|at| local(at).strftime("%Y-%m-%dT%H:%M:%S-03:00").to_string()),
            "chave_nfe": key,
        });
    }
    view
}
