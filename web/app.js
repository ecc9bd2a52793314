// The page of `make demo`: joins the room and shows what arrives, with what LiveKit's API says about the ingress.
import { Room, RoomEvent, Track, VideoQuality } from './vendor/livekit-client.esm.mjs';
import { Meter } from './meter.js';

const REFRESH_MS = 1000;

const at = (id) => document.getElementById(id);
const room = new Room({ adaptiveStream: false });
const video = at('video');
let picture; // the video publication that is shown
let loud = false; // browsers play sound only after a click

function show(track, publication) {
  if (track.kind === Track.Kind.Audio) {
    track.attach(at('audio'));
    return setSound(loud);
  }
  track.attach(video);
  picture = publication;
  at('waiting').hidden = true;
  chooseLayer(document.querySelector('#layers [aria-checked=true]').dataset.quality);
}

function hide(track) {
  track.detach();
  if (track.kind === Track.Kind.Video) {
    picture = undefined;
    at('waiting').hidden = false;
  }
}

// Auto asks for the best layer: livekit-server then sends what the link carries.
function chooseLayer(name) {
  for (const button of at('layers').children) button.setAttribute('aria-checked', button.dataset.quality === name);
  picture?.setVideoQuality(name === 'auto' ? VideoQuality.HIGH : VideoQuality[name]);
}

function setSound(on) {
  loud = on;
  at('audio').muted = !on;
  at('sound').textContent = on ? 'Mute' : 'Unmute';
}

async function showIngress() {
  const { status, error, video: source, audio } = await (await fetch('state.json')).json();
  const pill = at('state');
  pill.textContent = error ? `${status}: ${error}` : status;
  pill.dataset.state = status;
  at('source-video').textContent = source?.width
    ? `${source.width}×${source.height} at ${Math.round(source.framerate)} fps` : '–';
  at('source-audio').textContent = audio?.channels ? `${audio.channels} ch, ${audio.sample_rate / 1000} kHz` : '–';
}

function showReceived(stats) {
  at('size').textContent = stats.width ? `${stats.width}×${stats.height}` : '–';
  at('fps').textContent = stats.fps ? `${stats.fps.toFixed(0)} fps` : '–';
  at('video-rate').textContent = stats.videoBps ? `${(stats.videoBps / 1000).toFixed(0)} kb/s` : '–';
  at('audio-rate').textContent = stats.audioBps ? `${(stats.audioBps / 1000).toFixed(0)} kb/s` : '–';
  at('codecs').textContent = stats.codecs.join(' + ') || '–';
  at('buffer').textContent = stats.bufferMs ? `${stats.bufferMs.toFixed(0)} ms` : '–';
  at('rtt').textContent = stats.rttMs === undefined ? '–' : `${stats.rttMs.toFixed(0)} ms`;
  at('level').value = stats.level;
}

function everySecond(work) {
  // The next look begins when this one is over: a slow server is not asked twice at once.
  const again = () => work().catch(() => {}).finally(() => setTimeout(again, REFRESH_MS));
  again();
}

async function start() {
  const session = await (await fetch('session.json')).json();
  at('room').textContent = session.room;
  at('server').value = session.server;
  at('key').value = session.key;
  for (const button of at('layers').children) button.onclick = () => chooseLayer(button.dataset.quality);
  for (const id of ['server', 'key']) at(id).onclick = (event) => event.target.select();
  at('sound').onclick = () => room.startAudio().then(() => setSound(!loud));
  room.on(RoomEvent.TrackSubscribed, show).on(RoomEvent.TrackUnsubscribed, hide);
  everySecond(showIngress);
  await room.connect(session.url, session.token);
  const meter = new Meter(room);
  everySecond(async () => showReceived(await meter.read()));
}

start().catch((error) => { at('waiting').textContent = `The room cannot be joined: ${error.message}`; });
