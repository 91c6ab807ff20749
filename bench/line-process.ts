import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface, type Interface } from 'node:readline'

/** A child process that answers a line of JSON with a line of JSON; arrays go through files in a folder of its own. */
export class LineProcess {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #reader: Interface
  readonly #lines: AsyncIterator<string>
  readonly #folder: string

  private constructor(name: string, child: ChildProcess, folder: string) {
    this.#name = name
    this.#child = child
    this.#folder = folder
    this.#reader = createInterface({ input: child.stdout as NodeJS.ReadableStream })
    this.#lines = this.#reader[Symbol.asyncIterator]()
  }

  /** `name` is what errors call it. */
  static async start(
    name: string,
    command: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {}
  ): Promise<LineProcess> {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...environment } })
    return new LineProcess(name, child, await mkdtemp(path.join(tmpdir(), 'polyadic-peer-')))
  }

  /** Throws what the process answers as `error`. */
  async ask<Answer extends object>(request: object): Promise<Answer> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`)
    const { value, done } = await this.#lines.next()
    if (done === true) throw new Error(`${this.#name} ended`)
    const answer = JSON.parse(value) as Answer & { readonly error?: string }
    if (answer.error !== undefined) throw new Error(`${this.#name}: ${answer.error}`)
    return answer
  }

  file(name: string): string {
    return path.join(this.#folder, name)
  }

  async write(name: string, data: Float32Array | Int32Array | Uint8Array): Promise<string> {
    await writeFile(this.file(name), new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    return this.file(name)
  }

  async readFloats(name: string): Promise<Float32Array> {
    const data = await readFile(this.file(name))
    return new Float32Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength))
  }

  async close(): Promise<void> {
    this.#reader.close()
    this.#child.stdin?.end()
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
    await rm(this.#folder, { recursive: true, force: true })
  }
}
