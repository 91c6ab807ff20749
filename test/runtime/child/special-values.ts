import * as ort from 'onnxruntime-node'
import t from 'tap'
import { encodeOnnx } from '../../../lib/onnx/write.js'
import { Session } from '../../../lib/runtime/session.js'
import { keptReferences } from '../../helpers/kept-references.js'
import { type SpecialCase, specialCases } from '../../helpers/special-cases.js'
import { runUnfused } from '../../helpers/run-unfused.js'

// Exponentials differ in their last digits; maxima and what is cut off are exact.
const tolerance = 1e-5
// bfloat16 has 8 bits; values are rounded once or twice on their way.
const halfTolerance = 1e-2
const kept = keptReferences()

type Results = readonly (readonly number[])[]

/** Without any fusion. */
function runPlain({ graph, feeds }: SpecialCase): Results {
  return Object.values(runUnfused(graph, feeds)).map((data) => Array.from(data))
}

async function run({ graph, feeds }: SpecialCase, precision: 'f32' | 'bf16'): Promise<Results> {
  await using session = await Session.create(graph, { precision })
  const results = session.runSync(feeds)
  return graph.outputs.map(({ name }) => Array.from(results[name]?.data as ArrayLike<number | bigint>, Number))
}

async function runPeer({ graph, feeds }: SpecialCase): Promise<Results> {
  const session = await ort.InferenceSession.create(encodeOnnx(graph), { intraOpNumThreads: 1, logSeverityLevel: 4 })
  const tensors = Object.entries(feeds).map(([name, { data, dims }]) => [name, new ort.Tensor('float32', data, dims)])
  const results = await session.run(Object.fromEntries(tensors))
  await session.release()
  return graph.outputs.map(({ name }) => Array.from(results[name]?.data as ArrayLike<number | bigint>, Number))
}

function isSame(actual: number, expected: number, bound: number): boolean {
  if (!Number.isFinite(actual) || !Number.isFinite(expected)) return Object.is(actual, expected)
  return Math.abs(actual - expected) <= bound * Math.max(1, Math.abs(expected))
}

/** Where results differ, in words. */
function difference(actual: Results, expected: Results, bound: number): string | undefined {
  for (const [output, wanted] of expected.entries()) {
    const own = actual[output] ?? []
    const at = wanted.findIndex((value, i) => own.length !== wanted.length || !isSame(own[i] as number, value, bound))
    if (at >= 0) return `${own[at]} instead of ${wanted[at]} at ${at} of ${wanted.length}, output ${output}`
  }
  return undefined
}

const faults = new Map<string, string[]>()
for (const one of specialCases) {
  const expected = one.expected ?? (await runPeer(one))
  const group = one.name.split(/[ ,]/)[0] as string
  const note = (how: string, text: string | undefined): void => {
    if (text !== undefined) faults.set(group, [...(faults.get(group) ?? []), `${one.name}, ${how}: ${text}`])
  }
  const fused = await run(one, 'f32')
  note('fused', difference(fused, expected, tolerance))
  note('not fused', difference(runPlain(one), expected, tolerance))
  if (one.bf16) note('bfloat16', difference(await run(one, 'bf16'), expected, halfTolerance))
  // Nothing here is a sum of several products, so no kernel may differ from another in a single bit.
  const first = kept(one.name, () => fused)
  const bits = fused.every((data, output) => data.every((value, i) => Object.is(value, first[output]?.[i])))
  note('bits', bits ? undefined : 'another table of kernels gave others')
}
for (const group of new Set(specialCases.map(({ name }) => name.split(/[ ,]/)[0] as string))) {
  const found = faults.get(group) ?? []
  t.ok(
    found.length === 0,
    `${group}: ${found.length === 0 ? 'as it should be' : `${found.length} faults: ${found.slice(0, 3).join('; ')}`}`
  )
}
