// The page that publishes: camera, screen or a test pattern over WHIP, with what is sent each second.
import { Whip } from './whip.js';

const REFRESH_MS = 1000;
const SIZE = { width: 1280, height: 720 };

const at = (id) => document.getElementById(id);
let session, whip, stream, before;

const sources = {
  camera: () => navigator.mediaDevices.getUserMedia({ video: { ...SIZE, frameRate: 30 }, audio: true }),
  screen: () => navigator.mediaDevices.getDisplayMedia({ video: { frameRate: 30 }, audio: true }),
  pattern: async () => pattern(),
};

// Moving bars with a clock, and a soft tone.
function pattern() {
  const canvas = Object.assign(document.createElement('canvas'), SIZE);
  const pen = canvas.getContext('2d');
  const colors = ['#d8d8d8', '#d8d820', '#20d8d8', '#20d820', '#d820d8', '#d82020', '#2020d8'];
  const draw = () => {
    const now = performance.now();
    const bar = SIZE.width / colors.length;
    colors.forEach((color, n) => {
      pen.fillStyle = color;
      pen.fillRect((n * bar + now / 10) % SIZE.width - bar, 0, bar + 1, SIZE.height);
    });
    pen.fillStyle = '#d8d8d8';
    pen.fillRect(SIZE.width - bar + (now / 10) % bar, 0, bar, SIZE.height);
    pen.fillStyle = '#000c';
    pen.fillRect(400, 290, 480, 140);
    pen.fillStyle = '#fff';
    pen.font = '90px ui-monospace, monospace';
    pen.fillText(new Date().toISOString().slice(14, 22), 425, 392);
  };
  const timer = setInterval(draw, 1000 / 30);
  draw();
  const context = new AudioContext();
  const [tone, volume, out] = [context.createOscillator(), context.createGain(), context.createMediaStreamDestination()];
  volume.gain.value = 0.05;
  tone.connect(volume).connect(out);
  tone.start();
  const all = new MediaStream([...canvas.captureStream(30).getTracks(), ...out.stream.getTracks()]);
  all.end = () => { clearInterval(timer); context.close(); };
  return all;
}

function show(state, text = '') {
  const live = state === 'connected';
  at('state').textContent = { connected: 'LIVE', connecting: 'CONNECTING', new: 'CONNECTING' }[state] ?? 'OFF AIR';
  at('state').dataset.state = live ? 'PUBLISHING' : state === 'closed' ? 'INACTIVE' : 'BUFFERING';
  at('live').textContent = whip ? 'Stop' : 'Go live';
  at('message').textContent = text;
  at('message').hidden = !text;
}

async function begin() {
  stream = await sources[document.querySelector('#source [aria-checked=true]').dataset.source]();
  at('preview').srcObject = stream;
  const { url, key } = session.whip[at('transcode').checked ? 'transcoded' : 'passed'];
  whip = new Whip(url, key);
  before = new Map();
  show('connecting');
  await whip.publish(stream, { simulcast: at('simulcast').checked, codec: at('codec').value });
}

async function end(text) {
  const old = whip;
  whip = undefined;
  stream?.getTracks().forEach((track) => track.stop());
  stream?.end?.();
  at('preview').srcObject = null;
  show('closed', text ?? 'What you send is shown here.');
  await old?.stop().catch(() => {});
}

async function toggle() {
  at('live').disabled = true;
  try {
    await (whip ? end() : begin());
  } catch (error) {
    await end(`That did not work: ${error.message}`);
  } finally {
    at('live').disabled = false;
  }
}

async function refresh() {
  if (!whip) return;
  show(whip.state);
  const rows = [];
  const stats = [...(await whip.stats()).values()];
  const rate = ({ id, bytesSent, timestamp }) => {
    const old = before.get(id);
    before.set(id, { bytesSent, timestamp });
    return old ? `${((bytesSent - old.bytesSent) * 8 / (timestamp - old.timestamp)).toFixed(0)} kb/s` : '–';
  };
  const pictures = stats.filter(({ type, kind }) => type === 'outbound-rtp' && kind === 'video');
  for (const sent of pictures.sort((a, b) => (b.frameWidth ?? 0) - (a.frameWidth ?? 0))) {
    const size = sent.frameWidth ? `${sent.frameWidth}×${sent.frameHeight}` : 'off';
    rows.push([size, `${rate(sent)}, ${(sent.framesPerSecond ?? 0).toFixed(0)} fps`]);
  }
  for (const sent of stats.filter(({ type, kind }) => type === 'outbound-rtp' && kind === 'audio')) {
    rows.push(['Sound', rate(sent)]);
  }
  const codec = stats.find(({ type, id }) => type === 'codec' && pictures.some(({ codecId }) => codecId === id));
  if (codec) rows.push(['Codec', codec.mimeType.split('/')[1]]);
  const pair = stats.find(({ type, nominated, state }) => type === 'candidate-pair' && nominated && state === 'succeeded');
  if (pair?.currentRoundTripTime !== undefined) rows.push(['Round trip', `${(pair.currentRoundTripTime * 1000).toFixed(0)} ms`]);
  at('sent').replaceChildren(...rows.flat().map((text, n) => Object.assign(document.createElement(n % 2 ? 'dd' : 'dt'), { textContent: text })));
}

async function start() {
  session = await (await fetch('session.json')).json();
  for (const button of at('source').children) {
    button.onclick = () => [...at('source').children].forEach((other) => other.setAttribute('aria-checked', other === button));
  }
  at('live').onclick = toggle;
  window.addEventListener('pagehide', () => whip?.stop());
  const again = () => refresh().catch(() => {}).finally(() => setTimeout(again, REFRESH_MS));
  again();
}

start().catch((error) => show('closed', `The page cannot be used: ${error.message}`));
