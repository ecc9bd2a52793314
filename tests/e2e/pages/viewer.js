// A livekit-client subscriber that keeps what it saw, for a test to read through `window.viewer`.
import { Room, RoomEvent, Track, VideoQuality } from '/vendor/livekit-client.esm.mjs';

const COUNTER_BITS = 12;
const query = new URLSearchParams(location.search);
const room = new Room({ adaptiveStream: false, dynacast: false });
const canvas = document.createElement('canvas');
const pen = canvas.getContext('2d', { willReadFrequently: true });
const frames = [];
let video;
let publication;

const CELL_ROW = 0.026;

// The same bar code as in harness/clip.py; the canvas holds only its row.
function readCounter(width, height) {
  canvas.width = width;
  canvas.height = 1;
  pen.drawImage(video, 0, height * CELL_ROW, width, 1, 0, 0, width, 1);
  const { data } = pen.getImageData(0, 0, width, 1);
  const cells = Array.from({ length: 18 }, (_, i) => data[4 * Math.floor((width * (i + 1.5)) / 20)]);
  const [white, black] = cells;
  if (white - black < 60) return null;
  const bits = cells.slice(2).map((cell) => (cell > (white + black) / 2 ? 1 : 0));
  const value = (part) => part.reduce((sum, bit, i) => sum + (bit << i), 0);
  const number = value(bits.slice(0, COUNTER_BITS));
  const check = ((number & 15) + ((number >> 4) & 15) + (number >> 8)) % 16;
  return value(bits.slice(COUNTER_BITS)) === check ? number : null;
}

function onFrame(_, meta) {
  frames.push({ at: Date.now() / 1000, w: meta.width, h: meta.height, n: readCounter(meta.width, meta.height) });
  video.requestVideoFrameCallback(onFrame);
}

async function inbound(kind) {
  const track = [...room.remoteParticipants.values()]
    .flatMap((who) => [...who.trackPublications.values()])
    .find((one) => one.kind === kind)?.track;
  const report = track ? await track.receiver.getStats() : new Map();
  return [...report.values()].find((entry) => entry.type === 'inbound-rtp') ?? null;
}

room.on(RoomEvent.TrackSubscribed, (track, pub) => {
  const element = track.attach();
  document.getElementById('stage').append(element);
  if (track.kind !== Track.Kind.Video) return;
  [video, publication] = [element, pub];
  video.requestVideoFrameCallback(onFrame);
});

window.viewer = {
  frames: () => frames,
  setQuality: (name) => publication.setVideoQuality(VideoQuality[name]),
  size: () => (video ? [video.videoWidth, video.videoHeight] : [0, 0]),
  playing: () => Boolean(video && !video.paused && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA),
  stats: async () => {
    const [picture, sound] = [await inbound('video'), await inbound('audio')];
    return { decoded: picture?.framesDecoded ?? 0, energy: sound?.totalAudioEnergy ?? 0, level: sound?.audioLevel ?? 0 };
  },
};

await room.connect(query.get('url'), query.get('token'));
window.viewer.joined = true;
