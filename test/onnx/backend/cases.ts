import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { decodeTensor } from '../../../lib/onnx/read-tensor.js'
import { tensorProto } from '../../../lib/onnx/schema.js'
import { WireReader } from '../../../lib/onnx/wire.js'
import type { Graph, ValueInfo } from '../../../lib/graph/graph.js'
import { elementCount, floatTensor, type Tensor } from '../../../lib/tensor.js'

/** The kinds of tests that a folder of ONNX's backend tests has, each a folder of tests. */
export const kinds = ['node', 'pytorch-converted', 'pytorch-operator', 'simple', 'light'] as const

export interface BackendTest {
  readonly kind: (typeof kinds)[number]
  /** Without the prefix `test_`. */
  readonly name: string
  readonly folder: string
}

/** Every test in `root`, a folder with some of `kinds` in it. A light network is a file `light_NAME.onnx` with its outputs beside it. */
export async function findTests(root: string): Promise<BackendTest[]> {
  const found = await Promise.all(
    kinds.map(async (kind) => {
      const names = await readdir(path.join(root, kind)).catch(() => [])
      const networks = names.filter((name) => name.endsWith('.onnx')).map((name) => name.slice(0, -'.onnx'.length))
      if (kind === 'light') return networks.map((name) => ({ kind, name, folder: path.join(root, kind) }))
      return names.sort().map((name) => ({ kind, name: name.replace(/^test_/, ''), folder: path.join(root, kind, name) }))
    })
  )
  return found.flat()
}

/** The model's file. */
export function modelFile({ kind, name, folder }: BackendTest): string {
  return path.join(folder, kind === 'light' ? `${name}.onnx` : 'model.onnx')
}

export interface DataSet {
  /** In the order of the graph's inputs and outputs; `undefined`: no tensor of numbers. */
  readonly inputs: readonly (Tensor | undefined)[]
  readonly outputs: readonly (Tensor | undefined)[]
}

export async function readDataSets({ kind, name: test, folder }: BackendTest, graph: Graph): Promise<DataSet[]> {
  if (kind === 'light') return [{ inputs: graph.inputs.map(ramp), outputs: [await readTensor(path.join(folder, `${test}_output_0.pb`))] }]
  const names = (await readdir(folder)).filter((name) => name.startsWith('test_data_set_')).sort()
  return Promise.all(
    names.map(async (name) => ({
      inputs: await readAll(path.join(folder, name), 'input_'),
      outputs: await readAll(path.join(folder, name), 'output_')
    }))
  )
}

/** What ONNX's runner feeds to light networks: 0 to 1 over all elements; free dimensions are 1. */
function ramp(info: ValueInfo): Tensor {
  const dims = (info.dims ?? []).map((dim) => (typeof dim === 'number' && dim > 0 ? dim : 1))
  const count = elementCount(dims)
  return floatTensor(
    Float32Array.from({ length: count }, (_, i) => i / count),
    dims
  )
}

async function readAll(folder: string, prefix: string): Promise<(Tensor | undefined)[]> {
  const names = (await readdir(folder)).filter((name) => name.startsWith(prefix) && name.endsWith('.pb'))
  return Promise.all(names.map((_, i) => readTensor(path.join(folder, `${prefix}${i}.pb`))))
}

/** The tensor in a .pb file; `undefined` for what is no tensor of numbers. */
export async function readTensor(file: string): Promise<Tensor | undefined> {
  const bytes = new Uint8Array(await readFile(file))
  return decodeTensor(new WireReader(bytes, tensorProto), { owner: file, pending: undefined }).tensor
}
