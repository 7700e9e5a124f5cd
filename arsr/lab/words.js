// The sentence under the pictures: rules over the numbers, and no word that they do not carry.
//
// An outcome is {title, psnr, epe, answer}: dB and pixels, NaN where unknown; answer: the recogniser's or null.

const NEAR = { psnr: 0.1, epe: 0.05 }; // dB; share of the larger error: closer than that counts as alike

const quoted = (action) => `\u201c${action.replaceAll('_', ' ')}\u201d`;

function explain(hr, left, right, action) {
  const differ = left.title !== right.title && left.title !== hr.title && right.title !== hr.title;
  const said = [];
  if (action && hr.answer && left.answer && right.answer) said.push(answers(hr, left, right, action));
  if (differ && Number.isFinite(left.epe) && Number.isFinite(right.epe)) said.push(flows(left, right));
  if (differ && Number.isFinite(left.psnr) && Number.isFinite(right.psnr)) said.push(fidelity(left, right, action));
  return said.join(' ');
}

function answers(hr, left, right, action) {
  const [a, b] = [left, right].map((x) => x.answer === action);
  const true_ = quoted(action);
  if (hr.answer !== action) {
    const instead = `${quoted(hr.answer)} and not ${true_}`;
    return `Even from HR the recogniser says ${instead}: this clip cannot tell methods apart.`;
  }
  const others = [left, right].filter((x) => x.title !== hr.title);
  if (others.length < 2 || left.title === right.title) {
    const one = others[0];
    if (!one) return `From HR the recogniser says ${true_}, which is right.`;
    return one.answer === action ? `${one.title} keeps the right answer, ${true_}.`
      : `${one.title} turns the right answer, ${true_}, into ${quoted(one.answer)}.`;
  }
  if (a && b) return `Both keep the right answer, ${true_}.`;
  if (!a && !b) {
    const said = left.answer === right.answer ? `both make it ${quoted(left.answer)}`
      : `${left.title} makes it ${quoted(left.answer)}, ${right.title} ${quoted(right.answer)}`;
    return `Both lose the right answer, ${true_}: ${said}.`;
  }
  const [loses, keeps] = a ? [right, left] : [left, right];
  return `${loses.title} makes it ${quoted(loses.answer)}; ${keeps.title} brings ${true_} back.`;
}

function flows(left, right) {
  const [near, far] = left.epe <= right.epe ? [left, right] : [right, left];
  const numbers = `${near.epe.toFixed(3)} against ${far.epe.toFixed(3)} px off on average`;
  if (far.epe - near.epe <= NEAR.epe * far.epe) return `The two flows are about as far from that of HR (${numbers}).`;
  return `The flow of ${near.title} is nearer to that of HR (${numbers}).`;
}

function fidelity(left, right, action) {
  const [high, low] = left.psnr >= right.psnr ? [left, right] : [right, left];
  const more = high.psnr - low.psnr;
  if (more <= NEAR.psnr) return 'In PSNR they are alike.';
  const other = action && low.answer === action && high.answer && high.answer !== action;
  return `PSNR prefers ${high.title}, by ${more.toFixed(1)} dB${other ? '; the recogniser does not' : ''}.`;
}
