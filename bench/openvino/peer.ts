import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { root } from '../../examples/charnet/paths.js'
import { LineProcess } from '../line-process.js'

/** The Python that has OpenVINO: POLYADIC_OPENVINO_PYTHON, that of bench/peers/setup.sh, or the system's; `undefined` when none has. */
export function findOpenVino(): string | undefined {
  const candidates = [process.env.POLYADIC_OPENVINO_PYTHON ?? path.join(root, '.cache', 'peers', 'bin', 'python'), 'python3']
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
  /** The type that it computes in, as it says: `f32`, `bf16`. */
  precision = ''

  private constructor(process: LineProcess) {
    this.#process = process
  }

  static async start(python: string, model: Uint8Array, { precision, dims, threads }: OpenVinoOptions): Promise<OpenVinoPeer> {
    const child = await LineProcess.start('OpenVINO', python, [path.join(root, 'bench', 'openvino', 'peer.py')])
    const peer = new OpenVinoPeer(child)
    const file = await child.write('model.onnx', model)
    const answer = await child.ask<{ version: string; precision: string }>({ do: 'compile', model: file, precision, dims, threads })
    peer.version = answer.version
    peer.precision = answer.precision
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
