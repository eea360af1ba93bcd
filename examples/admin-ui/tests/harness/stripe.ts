/** The stand-in for Stripe, a process of its own, controlled through its control API. */

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Running, start } from './process'
import { fromEnvironment, REPOSITORY } from './surroundings'

export interface Checkout {
  amount: number
  currency?: string
  outcome: 'open' | 'paid'
  metadata?: Record<string, string>
  description?: string
}

export class Stripe {
  private constructor(
    readonly url: string,
    private readonly process: Running,
  ) {}

  static async start(): Promise<Stripe> {
    const directory = await mkdtemp(join(tmpdir(), 'stripe-double-'))
    const portFile = join(directory, 'port')
    let port = ''
    const target = fromEnvironment('CARGO_TARGET_DIR', join(REPOSITORY, 'target'))
    const process = await start(join(target, 'debug/stripe-double'), {
      args: ['--port-file', portFile],
      isReady: async () => {
        port = await readFile(portFile, 'utf8').catch(() => '')
        return port !== ''
      },
    })
    await rm(directory, { recursive: true })
    return new Stripe(`http://127.0.0.1:${port.trim()}`, process)
  }

  stop = () => this.process.stop()

  checkout(checkout: Checkout): Promise<{ session: string; intent: string }> {
    return this.post('checkouts', checkout)
  }

  /** The customer pays an open session. */
  pay = (session: string) => this.post('actions', { action: 'pay', id: session })

  /** Every answer is like this from now on. */
  fault = (fault: { action: string; [key: string]: unknown }) =>
    this.post('faults', { ...fault, always: true })

  /** Every answer takes so long from now on. */
  slowDown = (ms: number) => this.post('latency', { ms })

  /** Paths of the requests that came for this object. */
  async requestsFor(id: string): Promise<string[]> {
    const { data } = await this.call<{ data: { path: string }[] }>('requests')
    return data.map(({ path }) => path).filter((path) => path.includes(id))
  }

  post<T>(path: string, body: unknown): Promise<T> {
    return this.call(path, { method: 'POST', body: JSON.stringify(body) })
  }

  private async call<T>(path: string, init?: RequestInit): Promise<T> {
    const answer = await fetch(`${this.url}/_double/${path}`, init)
    if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`)
    return (await answer.json()) as T
  }
}
