import t from 'tap'
import type { PlanConvolution } from '../../lib/runtime/plan-spec.js'
import { PlanBuilder, generator } from '../helpers/plan-builder.js'
import { anyWindow } from '../helpers/plan-shapes.js'
import { referenceConv } from '../helpers/reference-conv.js'
import { convolve } from '../helpers/reference-network.js'
import { sameBits } from '../helpers/same-bits.js'

// What native convolutions are compared with is itself compared with the plainest loops, bit for bit.
t.test('the reference convolution has the bits of the plain one', async (t) => {
  for (let channels = 1; channels <= 67; channels++) {
    const r = generator(channels)
    const b = new PlanBuilder(r)
    const groups = [1, 1, 2, 3, channels][channels % 5] as number
    const inputs = channels * (groups === channels ? 1 : groups)
    const [height, width] = [r.integer(9, 13), r.integer(9, 13)]
    const conv: PlanConvolution = b.conv(inputs, groups * r.integer(1, 3), { ...anyWindow(r), groups })
    const data = Float64Array.from(r.normal(2 * inputs * height * width))
    const parameters = b.parameters.map((p) => p.data as Float32Array)
    const weight = parameters[conv.weight] as Float32Array
    const got = convolve({ shape: { n: 2, c: inputs, h: height, w: width }, data }, conv, parameters)
    const { pads, ...window } = conv
    const plain = [0, 1].map((image) =>
      referenceConv(
        { data: data.subarray((image * data.length) / 2, ((image + 1) * data.length) / 2), channels: inputs, height, width },
        weight,
        [got.shape.c, inputs / groups, ...conv.kernel],
        { ...window, padsBegin: pads.slice(0, 2), padsEnd: pads.slice(2) },
        parameters[conv.bias]
      )
    )
    t.same([got.shape.h, got.shape.w], [plain[0]?.height, plain[0]?.width])
    const expected = Buffer.concat(plain.map((maps) => new Uint8Array(maps.data.buffer)))
    const name = `${inputs} -> ${got.shape.c}, ${groups} groups, ${JSON.stringify(conv)}`
    t.ok(sameBits(got.data, expected), name)
  }
})
