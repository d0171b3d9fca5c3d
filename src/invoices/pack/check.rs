//! Whether what was invoiced is what was paid, order by order, by the ledger.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use vitrine_kit::Money;
use vitrine_kit::nfe::Environment;

use super::Month;
use super::sums::{Sums, failed, finish};
use crate::db;
use crate::error::Result;
use crate::invoices::invoice::environment_word;

/// Differences that are listed; the others are counted.
const LISTED: i64 = 10_000;

#[derive(Debug)]
struct Difference {
    order_number: String,
    invoiced: Money,
    paid: Money,
}

/// Of the orders with an invoice of the month or money of the month: what stands invoiced now, and what the ledger holds now.
#[derive(Debug)]
pub struct Check {
    orders: i64,
    differences: i64,
    listed: Vec<Difference>,
}

impl Check {
    pub async fn of(db: &impl GenericClient, environment: Environment, (from, to): (Timestamp, Timestamp)) -> Result<Self> {
        const COMPARE: &str = "
            WITH concerned AS (
                SELECT order_id FROM invoices
                 WHERE environment = $1 AND chave IS NOT NULL AND issued_at >= $2 AND issued_at < $3
                UNION SELECT order_id FROM payments WHERE paid_at >= $2 AND paid_at < $3
                UNION SELECT order_id FROM money_movements WHERE kind <> 'capture' AND at >= $2 AND at < $3),
            compared AS (
                SELECT c.order_id,
                       coalesce((SELECT sum(CASE WHEN i.purpose = 'sale' THEN i.total_cents ELSE -i.total_cents END)
                                   FROM invoices i
                                  WHERE i.order_id = c.order_id AND i.environment = $1 AND i.status = 'authorized'), 0)::bigint AS invoiced,
                       coalesce((SELECT sum(CASE WHEN m.kind IN ('capture', 'refund_back', 'dispute_back') THEN m.amount_cents
                                                 ELSE -m.amount_cents END)
                                   FROM money_movements m WHERE m.order_id = c.order_id), 0)::bigint AS paid
                  FROM concerned c)
            SELECT o.number, c.invoiced, c.paid, (SELECT count(*) FROM compared) AS orders, count(*) OVER () AS differences
              FROM compared c JOIN orders o ON o.id = c.order_id
             WHERE c.invoiced <> c.paid ORDER BY o.number LIMIT $4";
        const COUNT: &str = "
            SELECT count(*) FROM (
                SELECT order_id FROM invoices
                 WHERE environment = $1 AND chave IS NOT NULL AND issued_at >= $2 AND issued_at < $3
                UNION SELECT order_id FROM payments WHERE paid_at >= $2 AND paid_at < $3
                UNION SELECT order_id FROM money_movements WHERE kind <> 'capture' AND at >= $2 AND at < $3) concerned";
        let word = environment_word(environment);
        let orders: i64 = db::query_one(db, COUNT, &[&word, &from, &to]).await?.get(0);
        let rows = db::query(db, COMPARE, &[&word, &from, &to, &LISTED]).await?;
        let listed = rows
            .iter()
            .map(|row| Difference { order_number: row.get("number"), invoiced: row.get("invoiced"), paid: row.get("paid") })
            .collect();
        Ok(Self { orders, differences: rows.first().map_or(0, |row| row.get("differences")), listed })
    }

    pub fn agrees(&self) -> bool {
        self.differences == 0
    }

    /// For whoever ran the command.
    pub fn verdict(&self) -> String {
        match self.differences {
            0 => format!("{} order(s) agree with the ledger to the centavo", self.orders),
            n => format!("{n} of {} order(s) differ from the ledger: see conferencia.csv in it", self.orders),
        }
    }

    /// One line per difference; only the header: all agrees.
    pub fn lines(&self, sums: &Sums) -> Result<String> {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(["diferenca", "pedido", "chave", "nota", "razao_ou_xml", "diferenca_valor"]).map_err(failed)?;
        for one in &self.listed {
            let apart = one.invoiced.checked_sub(one.paid).unwrap_or(Money::ZERO);
            let cells =
                ["pedido", &one.order_number, "", &one.invoiced.to_decimal(), &one.paid.to_decimal(), &apart.to_decimal()];
            table.write_record(cells).map_err(failed)?;
        }
        for one in &sums.unlike {
            let xml = one.by_xml.map(Money::to_decimal).unwrap_or_else(|| "sem XML".to_owned());
            let apart = one.by_xml.and_then(|xml| one.by_row.checked_sub(xml)).map(Money::to_decimal).unwrap_or_default();
            table.write_record(["xml", &one.order_number, &one.key, &one.by_row.to_decimal(), &xml, &apart]).map_err(failed)?;
        }
        finish(table)
    }

    pub fn in_words(&self, month: Month, sums: &Sums) -> String {
        let all = self.differences + sums.unlike.len() as i64;
        let verdict = match all {
            0 => "Confere ao centavo: o que está faturado é o que o razão do dinheiro diz, pedido a pedido.".to_owned(),
            n => format!("{n} diferença(s): veja conferencia.csv."),
        };
        format!(
            "Notas fiscais de {month}\n\n\
             Vendas: {} nota(s), R$ {}\nDevoluções: {} nota(s), R$ {}\nCanceladas: {}\n\
             Pedidos conferidos com o razão: {}\n\n{verdict}\n\n\
             As somas são das notas autorizadas com emissão no mês, lidas dos próprios XMLs. A conferência compara o que está faturado e\n\
             o que foi pago e devolvido até agora em cada pedido com nota ou dinheiro no mês; uma devolução só de dinheiro, por exemplo, aparece\n\
             como diferença. Valores com ponto decimal.\n",
            sums.sales.0,
            sums.sales.1.to_decimal(),
            sums.returns.0,
            sums.returns.1.to_decimal(),
            sums.cancelled,
            self.orders,
        )
    }
}
