import { bodyOf } from '../graph/body.js'
import type { Body } from '../graph/graph.js'
import { type NodeContext, type Operator, allOpsets, constantInput, nodeError, requiredInput } from './operator.js'

/** The branch that the condition takes; it must be known, as branches may differ in shape. */
function branch(context: NodeContext): Body {
  requiredInput(context, 0)
  const condition = constantInput(context, 0, 'condition')
  const name = Number(condition?.data[0]) !== 0 ? 'then_branch' : 'else_branch'
  const body = bodyOf(context.node.attributes.get(name))
  if (body !== undefined) return body
  throw nodeError(context, `${name} is no graph that can be run`)
}

const conditional: Operator = {
  opType: 'If',
  limits: 'a condition that is an initializer, an input or follows from shapes',
  opsets: allOpsets,
  constants: [0],
  body: branch,
  // Never asked: the branch is there, or an error.
  dims: () => [],
  lower: () => []
}

export const controlFlow: readonly Operator[] = [conditional]
