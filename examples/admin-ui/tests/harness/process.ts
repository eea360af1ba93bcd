/** Programs that a test starts and ends. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'

export interface Running {
  stop: () => Promise<void>
}

/** None of them outlives the tests, where those are ended from outside either. */
const children = new Set<ChildProcess>()
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')))

/** Starts a program and waits until `isReady`; what it said is in the error if it ends before. */
export async function start(
  program: string,
  options: { args?: string[]; env?: NodeJS.ProcessEnv; isReady: () => Promise<boolean> },
): Promise<Running> {
  const child = spawn(program, options.args ?? [], {
    env: options.env ?? {},
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.add(child)
  const said: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => said.push(chunk.toString()))
  }
  child.on('error', (error) => said.push(error.message))
  await until(`${program} is ready`, async () => {
    if (hasEnded(child)) throw new Error(`${program} ended: ${said.join('')}`)
    return options.isReady()
  })
  return { stop: () => end(child) }
}

const hasEnded = (child: ChildProcess) =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null

async function end(child: ChildProcess) {
  children.delete(child)
  if (hasEnded(child)) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** Waits for a condition, for 30 seconds at most. */
export async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const patience = Date.now() + 30_000
  while (!(await condition())) {
    if (Date.now() > patience) throw new Error(`not within 30 seconds: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** One that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
