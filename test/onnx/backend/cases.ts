import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { decodeTensor } from '../../../lib/onnx/read-tensor.js'
import { tensorProto } from '../../../lib/onnx/schema.js'
import { WireReader } from '../../../lib/onnx/wire.js'
import type { Tensor } from '../../../lib/tensor.js'

/** The kinds of tests that a folder of ONNX's backend tests has, each a folder of tests. */
export const kinds = ['node', 'pytorch-converted', 'pytorch-operator', 'simple'] as const

export interface BackendTest {
  readonly kind: (typeof kinds)[number]
  /** Without the prefix `test_`. */
  readonly name: string
  readonly folder: string
}

/** Every test in `root`, a folder with some of `kinds` in it. */
export async function findTests(root: string): Promise<BackendTest[]> {
  const found = await Promise.all(
    kinds.map(async (kind) => {
      const names = await readdir(path.join(root, kind)).catch(() => [])
      return names.sort().map((name) => ({ kind, name: name.replace(/^test_/, ''), folder: path.join(root, kind, name) }))
    })
  )
  return found.flat()
}

export interface DataSet {
  /** In the order of the graph's inputs and outputs; `undefined`: no tensor of numbers. */
  readonly inputs: readonly (Tensor | undefined)[]
  readonly outputs: readonly (Tensor | undefined)[]
}

export async function readDataSets(folder: string): Promise<DataSet[]> {
  const names = (await readdir(folder)).filter((name) => name.startsWith('test_data_set_')).sort()
  return Promise.all(
    names.map(async (name) => ({
      inputs: await readAll(path.join(folder, name), 'input_'),
      outputs: await readAll(path.join(folder, name), 'output_')
    }))
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
