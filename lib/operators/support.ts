import { operators } from './registry.js'
import { allOpsets, type Operator } from './operator.js'

/** The operators as a Markdown table: what docs/onnx.md has, and a test compares it with. */
export function supportTable(): string {
  const rows = [...operators.values()].sort((a, b) => (a.opType < b.opType ? -1 : 1)).map(row)
  return [
    '| operator | opsets | gradient | plans are made for the contents of | limits |',
    '| --- | --- | --- | --- | --- |',
    ...rows
  ].join('\n')
}

function row({ opType, opsets, gradient, constants, limits }: Operator): string {
  const [first, last] = opsets
  const range = first <= allOpsets[0] ? `to ${last}` : `${first} to ${last}`
  const inputs = (constants ?? []).map((index) => String(index)).join(', ')
  return `| ${opType} | ${range} | ${gradient ?? 'yes'} | ${inputs === '' ? '' : `input ${inputs}`} | ${limits ?? ''} |`
}
