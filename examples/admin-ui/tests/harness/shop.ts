/** A whole shop: database, stand-in for Stripe, gateway, and the page that is served. */

import { type PreviewServer, preview } from 'vite'
import { type DemoOptions, demoDoor, previewOptions } from '../../demo/server'
import { Database } from './database'
import { type Gateway, JWT_SECRET, startGateway } from './gateway'
import { freePort } from './process'
import { type Checkout, Stripe } from './stripe'
import { PAGE } from './surroundings'

export interface Sale {
  invoice: string
  number: string
  session: string
  intent: string
}

const servePage = (options: DemoOptions) =>
  preview({
    root: PAGE,
    configFile: false,
    logLevel: 'error',
    plugins: [demoDoor(options)],
    preview: { ...previewOptions(options), port: 0 },
  })

export class Shop {
  private constructor(
    readonly stripe: Stripe,
    readonly database: Database,
    private gateway: Gateway,
    private readonly gatewayPort: number,
    private readonly server: PreviewServer,
  ) {}

  static async open(name: string): Promise<Shop> {
    const opened: (() => Promise<void>)[] = []
    try {
      const stripe = await Stripe.start()
      opened.unshift(stripe.stop)
      const database = await Database.create(name, stripe.url)
      opened.unshift(() => database.drop())
      const port = await freePort()
      const gateway = await startGateway(name, port)
      opened.unshift(gateway.stop)
      const server = await servePage({
        gateway: gateway.url,
        jwtSecret: JWT_SECRET,
        stripe: stripe.url,
        database: database.uri,
      })
      return new Shop(stripe, database, gateway, port, server)
    } catch (error) {
      // Nothing is left running.
      for (const close of opened) await close()
      throw error
    }
  }

  get url(): string {
    const address = this.server.httpServer.address()
    if (address === null || typeof address === 'string') throw new Error('the page is not served')
    return `http://127.0.0.1:${address.port}`
  }

  async close() {
    await this.server.close()
    await this.gateway.stop()
    await this.database.drop()
    await this.stripe.stop()
  }

  /** Changes tables; the gateway, which keeps their columns in mind, is started anew. */
  async alter(sql: string) {
    await this.database.query(sql)
    await this.gateway.stop()
    this.gateway = await startGateway(this.database.name, this.gatewayPort)
  }

  /** An invoice that was sent, without Stripe ids. */
  async invoice(number: string, total = 100): Promise<string> {
    const id = await this.database.value(
      `insert into invoices (invoice_number, customer, invoice_status, total_amount, balance_due, currency)
       values ($1, 'Hypatia Books', 'Sent', $2, $2, 'usd') returning id`,
      [number, total],
    )
    return id ?? ''
  }

  /** One whose customer has been to Stripe's page; the shop does not know what happened there. */
  async sale(number: string, outcome: Checkout['outcome'], total = 100): Promise<Sale> {
    const invoice = await this.invoice(number, total)
    const { session, intent } = await this.stripe.checkout({
      amount: total * 100,
      currency: 'usd',
      outcome,
      description: `Payment for ${number}`,
      metadata: { invoice_id: invoice },
    })
    await this.database.query('update invoices set stripe_session_id = $1 where id = $2', [
      session,
      invoice,
    ])
    return { invoice, number, session, intent }
  }

  /** A sweep, as pg_cron would start it. */
  sweep = () => this.database.anew('select invoice_sync.sweep()')

  status = (invoice: string) =>
    this.database.value('select invoice_status from invoices where id = $1', [invoice])

  async count(what: string): Promise<number> {
    return Number(await this.database.value(`select count(*) from ${what}`))
  }
}
