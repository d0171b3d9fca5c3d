// A typed client of a shop. The types come from the OpenAPI document: `npm run generate`.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type Schemas = components["schemas"];

/** Who calls. The client keeps the guest's cart token here when it gets one. */
export interface Tokens {
  /** The `token` of a session. */
  access?: string;
  /** A guest's cart. */
  cart?: string;
  /** The `access_token` of an order that was placed without an account. */
  order?: string;
}

/** The shop at that address. `shop.POST("/api/orders", { body })` knows what the order takes and what it answers. */
export function openShop(baseUrl: string, tokens: Tokens = {}) {
  const shop = createClient<paths>({ baseUrl });
  shop.use({
    onRequest({ request }) {
      const headers = { authorization: tokens.access && `Bearer ${tokens.access}`, "x-cart-token": tokens.cart, "x-order-token": tokens.order };
      for (const [name, value] of Object.entries(headers)) {
        if (value && !request.headers.has(name)) request.headers.set(name, value);
      }
    },
    onResponse({ response }) {
      const cart = response.headers.get("x-cart-token");
      if (cart) tokens.cart = cart;
    },
  });
  return shop;
}

/** An error that the shop answered. Switch on `slug`: it never changes. */
export class ShopError extends Error {
  readonly slug: string;
  constructor(readonly problem: Schemas["Problem"]) {
    super(`${problem.title}: ${problem.detail}`);
    this.slug = problem.type.slice(problem.type.lastIndexOf("/") + 1);
  }
}

/** The body of an answer that went well; else it throws a `ShopError`. */
export function done<Body>(answer: { data?: Body; error?: Schemas["Problem"] | undefined }): Body {
  if (answer.error) throw new ShopError(answer.error);
  if (answer.data === undefined) throw new Error("The answer has no body");
  return answer.data;
}
