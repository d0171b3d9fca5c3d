// Compiled, not run: what a storefront and an administration do, without `any`, `unknown` or a cast.
import { done, openShop, ShopError, type Schemas, type Tokens } from "../src/index.js";

const url = "http://localhost:4444";
const address = {
  recipient: "Ana Silva", cep: "01310-100", street: "Avenida Paulista", number: "1000", district: "Bela Vista", city: "São Paulo", state: "SP",
};

type Shop = ReturnType<typeof openShop>;

async function fillCart(shop: Shop): Promise<string> {
  const found = done(await shop.GET("/api/products/search", { params: { query: { q: "caneca", sort: "price" } } }));
  const product = found.items[0];
  if (!product) throw new Error("Nothing is sold");
  const item = { product_id: product.id, quantity: 2 };
  const cart = done(await shop.POST("/api/cart/items", { body: item }));
  const cents: number = cart.total_cents;
  const freight = done(await shop.POST("/api/shipping/calculate", { body: { cep_destino: address.cep, items: [item] } }));
  const option = freight.options[0];
  if (!option) throw new Error(`No carrier takes ${cents}`);
  return option.quote_token;
}

/** A guest pays by PIX, follows the parcel, and cancels. */
export async function guestBuysByPix(): Promise<string> {
  const tokens: Tokens = {};
  const shop = openShop(url, tokens);
  const quote_token = await fillCart(shop);
  const answer = await shop.POST("/api/orders", {
    params: { header: { "Idempotency-Key": "one-purchase" } },
    body: { name: "Ana Silva", email: "ana@example.com", cpf: "529.982.247-25", address, quote_token },
  });
  if (answer.error) {
    const problem = new ShopError(answer.error);
    switch (problem.slug) {
      case "out-of-stock":
        return problem.problem.detail;
      default:
        throw problem;
    }
  }
  const order = answer.data;
  if (order.access_token) tokens.order = order.access_token;
  const payment = done(await shop.POST("/api/orders/{id}/pay", { params: { path: { id: order.id } }, body: { method: "pix" } }));
  const copied: string = (payment.method === "pix" ? payment.copy_paste : payment.client_secret) ?? "";
  const seen = done(await shop.GET("/api/orders/tracking/{number}", { params: { path: { number: order.number } } }));
  const steps: string[] = seen.history.map((step) => `${step.at} ${step.description}`);
  const cancelled = done(await shop.PATCH("/api/orders/{id}/cancel", { params: { path: { id: order.id } }, body: { reason: "Changed my mind" } }));
  const status: "pending" | "processing" | "shipped" | "delivered" | "cancelled" | "returned" = cancelled.status;
  return [copied, ...steps, status].join("\n");
}

/** A customer pays by card. */
export async function customerBuysByCard(email: string, password: string): Promise<string> {
  const tokens: Tokens = {};
  const shop = openShop(url, tokens);
  const session = done(await shop.POST("/api/auth/login", { body: { email, password } }));
  tokens.access = session.token;
  const saved = done(await shop.POST("/api/users/{id}/addresses", { params: { path: { id: "me" } }, body: { ...address, is_default: true } }));
  const quote_token = await fillCart(shop);
  const order = done(
    await shop.POST("/api/orders", { body: { address_id: saved.id, cpf: "529.982.247-25", quote_token, pay: { method: "credit_card" } } }),
  );
  const started = order.payment;
  if (started && "client_secret" in started) return `${started.publishable_key} ${started.client_secret}`;
  const where: string = order.shipping_address?.street ?? "";
  const payments = done(await shop.GET("/api/orders/{id}/payments", { params: { path: { id: order.id } } }));
  return `${where}: ${payments.items.map((payment) => `${payment.status} ${payment.amount_cents}`).join(", ")}`;
}

/** An administrator finds paid orders, gives money back, and sends the goods. */
export async function administratorRefundsAndSends(access: string): Promise<Schemas["RefundView"][]> {
  const shop = openShop(url, { access });
  const orders = done(await shop.GET("/api/orders", { params: { query: { status: "processing", payment_status: "paid", limit: 100 } } }));
  const refunds: Schemas["RefundView"][] = [];
  for (const order of orders.items) {
    const path = { id: order.id };
    refunds.push(
      done(
        await shop.POST("/api/orders/{id}/refund", {
          params: { path, header: { "Idempotency-Key": `refund ${order.id}` } },
          body: { amount_cents: 100, reason: "A scratch" },
        }),
      ),
    );
    const sent = done(await shop.PATCH("/api/orders/{id}/tracking", { params: { path }, body: { tracking_number: "AA123456785BR", carrier: "Correios" } }));
    console.log(sent.tracking_number);
  }
  return refunds;
}

// @ts-expect-error A state that there is not does not compile.
export const nonsense = (order: Schemas["OrderView"]): boolean => order.status === "nonsense";
