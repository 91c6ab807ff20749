import { show } from '../errors.js'
import { stringAttribute } from '../graph/rewrite.js'
import { elementCount } from '../tensor.js'
import { type Dense, matmul, reduce, refOf, reshape, transpose } from './dense.js'
import { type NodeContext, type Operator, type PlanWriter, newestOpset, nodeError, requiredInput, shapeError } from './operator.js'

/** What each operand's axes, and the output's, are called. An ellipsis is `0`, `1`, … counted from the last axis that it stands for. */
interface Equation {
  readonly operands: readonly (readonly string[])[]
  readonly output: readonly string[]
  readonly sizes: ReadonlyMap<string, number>
}

function labelsOf(context: NodeContext, term: string, rank: number): string[] {
  const labels = [...term.replaceAll(' ', '').replace('...', '…')]
  const covered = rank - labels.filter((label) => label !== '…').length
  if (!labels.every((label) => label === '…' || /^[a-zA-Z]$/.test(label)))
    throw nodeError(context, `the term ${show(term)} has other signs than letters`)
  return labels.flatMap((label) => (label === '…' ? Array.from({ length: covered }, (_, i) => String(covered - 1 - i)) : [label]))
}

function equationOf(context: NodeContext): Equation {
  const [left = '', right] = stringAttribute(context.node, 'equation').split('->')
  const terms = left.split(',')
  const dims = context.node.inputs.map((_, index) => requiredInput(context, index).dims)
  if (terms.length !== dims.length) throw nodeError(context, `the equation has ${terms.length} terms for ${dims.length} inputs`)
  const operands = terms.map((term, i) => labelsOf(context, term, dims[i]?.length ?? 0))
  const sizes = new Map<string, number>()
  operands.forEach((labels, i) => {
    const own = dims[i] as readonly number[]
    if (labels.length !== own.length) throw shapeError(context, `the term ${show(terms[i])} does not fit ${show(own)}`)
    labels.forEach((label, axis) => {
      const [size, known] = [own[axis] as number, sizes.get(label) ?? 1]
      if (size !== known && size !== 1 && known !== 1) throw shapeError(context, `axis ${label} is ${known} long, and ${size}`)
      sizes.set(label, Math.max(size, known))
    })
  })
  const all = operands.flat()
  const depth = [...sizes.keys()].filter((label) => /\d/.test(label)).length
  const once = [...new Set(all)].filter((label) => /\D/.test(label) && all.filter((other) => other === label).length === 1).sort()
  const implied = [...Array.from({ length: depth }, (_, i) => String(depth - 1 - i)), ...once]
  const output =
    right === undefined ? implied : labelsOf(context, right, right.replaceAll(/[ .]/g, '').length + (right.includes('...') ? depth : 0))
  const stranger = output.find((label) => !sizes.has(label))
  if (stranger !== undefined) throw nodeError(context, `no input has the axis ${stranger} of the output`)
  return { operands, output, sizes }
}

/** A tensor with the names of its axes, each there once. */
interface Named {
  readonly x: Dense
  readonly labels: readonly string[]
}

/** Axes of one name are their diagonal: one axis with the sum of their strides. */
function diagonal(x: Dense, labels: readonly string[]): Named {
  const names = [...new Set(labels)]
  const axes = names.map((name) => labels.flatMap((label, axis) => (label === name ? [axis] : [])))
  const dims = axes.map((own) => Math.max(...own.map((axis) => x.dims[axis] as number)))
  const strides = axes.map((own) => own.reduce((sum, axis) => sum + (x.strides[axis] as number), 0))
  return { x: { ...x, dims, strides }, labels: names }
}

/** Sums axes that nothing else needs. */
function summed(plan: PlanWriter, { x, labels }: Named, needed: ReadonlySet<string>): Named {
  const axes = labels.flatMap((label, axis) => (needed.has(label) ? [] : [axis]))
  return axes.length === 0 ? { x, labels } : { x: reduce(plan, 'sum', x, axes), labels: labels.filter((label) => needed.has(label)) }
}

/** Axes in the order of `labels`; those that are not there are 1 long. */
function arranged({ x, labels: own }: Named, labels: readonly string[]): Dense {
  const there = labels.filter((label) => own.includes(label))
  const ordered = transpose(
    x,
    there.map((label) => own.indexOf(label))
  )
  const at = (label: string): number => there.indexOf(label)
  return {
    ...ordered,
    dims: labels.map((label) => (at(label) < 0 ? 1 : (ordered.dims[at(label)] as number))),
    strides: labels.map((label) => (at(label) < 0 ? 0 : (ordered.strides[at(label)] as number)))
  }
}

/** Two operands as a product of matrices: axes of both that stay are batches, those that go are summed over. */
function product(plan: PlanWriter, left: Named, right: Named, needed: ReadonlySet<string>): Named {
  const shared = left.labels.filter((label) => right.labels.includes(label))
  const [batches, inner] = [shared.filter((label) => needed.has(label)), shared.filter((label) => !needed.has(label))]
  const rows = left.labels.filter((label) => !shared.includes(label))
  const columns = right.labels.filter((label) => !shared.includes(label))
  const [a, b] = [arranged(left, [...batches, ...rows, ...inner]), arranged(right, [...batches, ...inner, ...columns])]
  const count = batches.length
  const sizes = (x: Dense, from: number, to: number): number => elementCount(x.dims.slice(from, to))
  const x = matmul(
    plan,
    reshape(plan, a, [...a.dims.slice(0, count), sizes(a, count, count + rows.length), sizes(a, count + rows.length, a.dims.length)]),
    reshape(plan, b, [...b.dims.slice(0, count), sizes(b, count, count + inner.length), sizes(b, count + inner.length, b.dims.length)])
  )
  const dims = [...x.dims.slice(0, count), ...a.dims.slice(count, count + rows.length), ...b.dims.slice(count + inner.length)]
  return { x: reshape(plan, x, dims), labels: [...batches, ...rows, ...columns] }
}

const einsum: Operator = {
  opType: 'Einsum',
  opsets: [12, newestOpset],
  limits: 'an axis that is summed over has the same length in both operands',
  dims(context) {
    const { output, sizes } = equationOf(context)
    return [output.map((label) => sizes.get(label) as number)]
  },
  lower(context, plan) {
    const { operands, output } = equationOf(context)
    const terms = operands.map((labels, index) => diagonal(plan.dense(index), labels))
    const neededBehind = (index: number): Set<string> => new Set([...output, ...operands.slice(index).flat()])
    const [first, ...others] = terms as [Named, ...Named[]]
    const result = others.reduce<Named>((sum, term, i) => {
      const behind = neededBehind(i + 2)
      const left = summed(plan, sum, new Set([...behind, ...term.labels]))
      const right = summed(plan, term, new Set([...behind, ...left.labels]))
      return product(plan, left, right, behind)
    }, first)
    return [refOf(arranged(summed(plan, result, new Set(output)), output))]
  }
}

export const einsums: readonly Operator[] = [einsum]
