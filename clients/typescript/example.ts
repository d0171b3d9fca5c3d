// A guest buys by PIX: `./scripts/run` starts a shop, `npm run example` buys there.
import { done, openShop } from "./src/index.js";

const shop = openShop("http://localhost:4444");
const { items } = done(await shop.GET("/api/products", { params: { query: { in_stock: true } } }));
const wanted = items.slice(0, 1).map((product) => ({ product_id: product.id, quantity: 1 }));
for (const body of wanted) done(await shop.POST("/api/cart/items", { body }));
const { options } = done(await shop.POST("/api/shipping/calculate", { body: { cep_destino: "01310-100", items: wanted } }));
const address = { recipient: "Ana Silva", cep: "01310-100", street: "Avenida Paulista", number: "1000", district: "Bela Vista", city: "São Paulo", state: "SP" };
for (const { quote_token } of options.slice(0, 1)) {
  const buyer = { name: "Ana Silva", email: "ana@example.com", cpf: "529.982.247-25", address };
  const order = done(await shop.POST("/api/orders", { body: { ...buyer, quote_token, pay: { method: "pix" } } }));
  console.log(order.number, order.total_cents, order.payment);
}
