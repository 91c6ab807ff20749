import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { LineProcess } from '../../bench/line-process.js'
import { root } from '../../examples/charnet/paths.js'

/** The Python that has OpenVINO (POLYADIC_OPENVINO_PYTHON, else the system's); `undefined` when there is none. */
export function findOpenVino(): string | undefined {
  const candidates = [process.env.POLYADIC_OPENVINO_PYTHON ?? 'python3', 'python3']
  return candidates.find((python) => spawnSync(python, ['-c', 'import openvino'], { stdio: 'ignore' }).status === 0)
}

export interface OpenVinoOptions {
  /** The precision hint; `undefined` leaves it to OpenVINO. */
  readonly precision: 'f32' | undefined
  /** Of the input. */
  readonly dims: readonly number[]
  readonly threads: number
}

/** A network in OpenVINO, in a child process. */
export class OpenVinoPeer {
  readonly #process: LineProcess
  version = ''

  private constructor(process: LineProcess) {
    this.#process = process
  }

  static async start(python: string, model: Uint8Array, { precision, dims, threads }: OpenVinoOptions): Promise<OpenVinoPeer> {
    const child = await LineProcess.start('OpenVINO', python, [path.join(root, 'experiments', 'common', 'openvino_peer.py')])
    const peer = new OpenVinoPeer(child)
    const file = await child.write('model.onnx', model)
    const { version } = await child.ask<{ version: string }>({ do: 'compile', model: file, precision, dims, threads })
    peer.version = version
    return peer
  }

  /** Gives it an input, and its output back. */
  async load(input: Float32Array): Promise<Float32Array> {
    await this.#process.ask({ do: 'load', inputs: await this.#process.write('inputs', input), out: this.#process.file('out') })
    return this.#process.readFloats('out')
  }

  /** Milliseconds of one of `count` runs. */
  async time(count: number): Promise<number> {
    return (await this.#process.ask<{ ms: number }>({ do: 'time', count })).ms
  }

  close(): Promise<void> {
    return this.#process.close()
  }
}
