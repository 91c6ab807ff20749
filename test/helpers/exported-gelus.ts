import { gate, gelu } from '../../bench/modern-blocks.js'
import type { NetworkBuilder } from './network-builder.js'

type Body = (b: NetworkBuilder, x: string) => string

/** x·½·(1 + erf(x/√2)) as exporters of opsets before Gelu write it: one step of a plan each. */
export const exportedGelus: readonly (readonly [name: string, body: Body])[] = [
  ['halved last', gelu],
  ['halved first', (b, x) => b.node('Mul', [b.node('Mul', [b.scalar(0.5), x]), gate(b, x)])],
  ['its gate halved', (b, x) => b.node('Mul', [b.node('Mul', [gate(b, x), b.scalar(0.5)]), x])],
  [
    'by a factor',
    (b, x) => {
      const factor = b.node('Add', [b.scalar(1), b.node('Erf', [b.node('Mul', [x, b.scalar(Math.SQRT1_2)])])])
      return b.node('Div', [b.node('Mul', [factor, x]), b.scalar(2)])
    }
  ]
]

/** What looks like one and is none. */
export const noGelus: readonly (readonly [name: string, body: Body])[] = [
  ['another scale', (b, x) => b.node('Mul', [b.node('Mul', [x, gate(b, x)]), b.scalar(0.6)])],
  [
    'another argument',
    (b, x) =>
      b.node('Mul', [b.node('Mul', [x, b.node('Add', [b.node('Erf', [b.node('Div', [x, b.scalar(1.3)])]), b.scalar(1)])]), b.scalar(0.5)])
  ],
  ['another product', (b, x) => b.node('Mul', [b.node('Mul', [b.node('Sin', [x]), gate(b, x)]), b.scalar(0.5)])],
  [
    'its gate read elsewhere',
    (b, x) => {
      const shared = gate(b, x)
      return b.node('Add', [b.node('Mul', [b.node('Mul', [x, shared]), b.scalar(0.5)]), shared])
    }
  ]
]
