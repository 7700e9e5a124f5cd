// The reader's picture, video or camera -> frames of a stated size. Everything stays in the browser.

const SMALLEST = { width: 48, height: 36 }; // pixels: x4 leaves 12 x 9, and TV-L1 needs 16
const FRAMES = 24;
const RATE = 12.5; // frames a second that are taken of a video: 24 of them are two seconds
const PATIENCE = 8000; // ms for a video's next frame

const listed = (name) => `\u201c${name.length > 40 ? `${name.slice(0, 37)}...` : name}\u201d`;

// The middle of a picture, 4:3, shrunk by the browser to at most width x height; sides divisible by 12.
function shrunk(picture, ownWidth, ownHeight, { width, height }, name) {
  if (ownWidth < SMALLEST.width || ownHeight < SMALLEST.height) {
    const needed = `${SMALLEST.width} \u00d7 ${SMALLEST.height}`;
    throw new Unreadable(`${name} has ${ownWidth} \u00d7 ${ownHeight} pixels; the laboratory needs ${needed} or more.`);
  }
  const unit = Math.floor(Math.min(ownWidth / 48, ownHeight / 36, width / 48)); // of 48 x 36 pixels
  const size = { width: 48 * unit, height: 36 * unit };
  if (size.width < width && ownWidth >= width && ownHeight >= height) Object.assign(size, { width, height });
  const share = Math.min(ownWidth / size.width, ownHeight / size.height);
  const [w, h] = [size.width * share, size.height * share];
  const canvas = Object.assign(document.createElement('canvas'), size);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.imageSmoothingQuality = 'high';
  context.drawImage(picture, (ownWidth - w) / 2, (ownHeight - h) / 2, w, h, 0, 0, size.width, size.height);
  return { ...size, rgba: context.getImageData(0, 0, size.width, size.height).data };
}

function gathered(frames) {
  const [{ width, height }] = frames;
  return { width, height, frames: frames.map((frame) => frame.rgba) };
}

async function readFile(file, size, told) {
  const name = listed(file.name);
  const picture = await createImageBitmap(file).catch(() => null);
  if (picture) return gathered([shrunk(picture, picture.width, picture.height, size, name)]);
  return readVideo(file, name, size, told);
}

const happens = (target, event) => new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error('late')), PATIENCE);
  target.addEventListener(event, () => { clearTimeout(timer); resolve(); }, { once: true });
  target.addEventListener('error', () => { clearTimeout(timer); reject(new Error('broken')); }, { once: true });
});

async function readVideo(file, name, size, told) {
  const video = Object.assign(document.createElement('video'), { muted: true, playsInline: true, preload: 'auto' });
  const url = URL.createObjectURL(file);
  try {
    video.src = url;
    await happens(video, 'loadeddata').catch(() => {
      throw new Unreadable(`${name} is no picture and no video that this browser reads; try PNG, JPEG, MP4 or WebM.`);
    });
    if (!video.videoWidth) throw new Unreadable(`${name} holds no pictures; choose a video with some.`);
    const frames = [];
    const count = Math.max(1, Math.min(FRAMES, Math.floor((video.duration || 0) * RATE)));
    for (let i = 0; i < count; i += 1) {
      const sought = happens(video, 'seeked');
      video.currentTime = i / RATE;
      await sought.catch(() => { throw new Unreadable(`${name} stopped at frame ${i}; choose another video.`); });
      frames.push(shrunk(video, video.videoWidth, video.videoHeight, size, name));
      told(`Reading ${name}: frame ${i + 1} of ${count}`);
    }
    return gathered(frames);
  } finally {
    video.removeAttribute('src');
    URL.revokeObjectURL(url);
  }
}

async function readCamera(size, told) {
  const refused = (error) => {
    const reason = error?.name === 'NotAllowedError' ? 'was not allowed' : 'did not open';
    throw new Unreadable(`The camera ${reason}; choose a clip, a picture or a video.`);
  };
  if (!navigator.mediaDevices?.getUserMedia) refused();
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } }).catch(refused);
  const video = Object.assign(document.createElement('video'), { muted: true, playsInline: true, srcObject: stream });
  try {
    await video.play().catch(refused);
    const frames = [];
    for (let i = 0; i < FRAMES; i += 1) {
      frames.push(shrunk(video, video.videoWidth, video.videoHeight, size, 'The camera'));
      told(`Recording: frame ${i + 1} of ${FRAMES}`);
      await new Promise((done) => { setTimeout(done, 1000 / RATE); });
    }
    return gathered(frames);
  } finally {
    for (const track of stream.getTracks()) track.stop();
  }
}
