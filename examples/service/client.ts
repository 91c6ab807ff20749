import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import path from 'node:path'
import sharp from 'sharp'
import { patch } from '../charnet/architecture.js'
import { createCharacters } from '../charnet/dataset.js'
import { root } from '../charnet/paths.js'

export interface Running {
  readonly url: string
  readonly child: ChildProcess
  /** Asks it to stop; resolves with its exit code and what it has written. */
  stop(): Promise<{ code: number | null; output: string }>
}

/** The service in a process of its own, on a free port of the loopback interface. */
export async function startService(model: string, options: readonly string[] = []): Promise<Running> {
  const main = path.join(root, 'dist', 'examples', 'service', 'main.js')
  const child = spawn(process.execPath, [main, '--model', model, '--port', '0', ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const add = (text: string): void => {
    output += text
  }
  child.stdout.setEncoding('utf8').on('data', add)
  child.stderr.setEncoding('utf8').on('data', add)
  const closed = once(child, 'close') as Promise<[number | null]>
  while (!/ at http/.test(output)) {
    if (child.exitCode !== null) throw new Error(`the service did not start: ${output}`)
    await Promise.race([once(child.stdout, 'data'), closed])
  }
  const url = / at (http:\S+)/.exec(output)?.[1] as string
  return {
    url,
    child,
    async stop() {
      child.kill('SIGTERM')
      const [code] = await closed
      return { code, output }
    }
  }
}

/** Characters of fonts that were never trained on, as PNG files. */
export async function sampleImages(count: number): Promise<Buffer[]> {
  const { images } = await createCharacters({ split: 'test', count })
  const size = patch * patch
  return Promise.all(
    Array.from({ length: count }, (_, i) => {
      const grey = Uint8Array.from(images.subarray(i * size, (i + 1) * size), (value) => Math.max(0, Math.min(255, 128 + 50 * value)))
      return sharp(grey, { raw: { width: patch, height: patch, channels: 1 } })
        .png()
        .toBuffer()
    })
  )
}

export type Outcome = number | 'refused' | 'lost'

export interface Answer {
  /** A status. `refused`: no connection could be made. `lost`: there was one, and it ended without an answer. */
  readonly outcome: Outcome
  /** The service closes the connection: send the next request elsewhere. */
  readonly leaving: boolean
}

/** One POST /classify. */
export function classify(url: string, image: Buffer, agent: Agent): Promise<Answer> {
  return new Promise((resolve) => {
    const call = request(`${url}/classify`, {
      method: 'POST',
      agent,
      headers: { 'content-type': 'image/png', 'content-length': image.length }
    })
    const failed = (error: NodeJS.ErrnoException): void =>
      resolve({ outcome: error.code === 'ECONNREFUSED' ? 'refused' : 'lost', leaving: true })
    call.on('response', (response) => {
      response.resume()
      response.on('end', () => resolve({ outcome: response.statusCode as number, leaving: response.headers.connection === 'close' }))
      response.on('error', failed)
    })
    call.on('error', failed)
    call.end(image)
  })
}

export const newAgent = (connections: number): Agent => new Agent({ keepAlive: true, maxSockets: connections })

/** Keeps so many requests under way until the service says that it is leaving, as a load balancer would; counts what becomes of them. */
export async function pound(url: string, images: readonly Buffer[], connections: number): Promise<Map<Outcome, number>> {
  const agent = newAgent(connections)
  const outcomes = new Map<Outcome, number>()
  let next = 0
  const lane = async (): Promise<void> => {
    let left = false
    // Bounded, should the service never stop.
    while (!left && next < 1e6) {
      const { outcome, leaving } = await classify(url, images[next++ % images.length] as Buffer, agent)
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      left = leaving
    }
  }
  await Promise.all(Array.from({ length: connections }, lane))
  agent.destroy()
  return outcomes
}
