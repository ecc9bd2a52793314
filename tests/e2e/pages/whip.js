// A browser as a WHIP publisher (RFC 9725), for a test to drive through `window.whip`.
import { camera, hum, pattern } from '/whip_media.js';

const FRAGMENT = 'application/trickle-ice-sdpfrag';
const log = [];
let pc;
let options;
let resource;
let etag = '';
let refused = 0;
// Candidates wait here until there is a resource to tell.
let waiting = [];

function note(text) {
  log.push(`${Math.round(performance.now())} ${text}`);
}

async function send(method, url, body, headers = {}) {
  const bearer = options.inPath ? {} : { Authorization: `Bearer ${options.key}` };
  const answer = await fetch(url, { method, body, headers: { ...bearer, ...headers } });
  note(`${method} ${answer.status}`);
  return answer;
}

function line(sdp, name) {
  return sdp.match(new RegExp(`^a=${name}:(.*)$`, 'm'))?.[1].trim();
}

// RFC 8840: the credentials, one m-line, and what is new.
function fragment(sdp, candidates) {
  const mid = line(sdp, 'mid');
  const head = [`a=ice-ufrag:${line(sdp, 'ice-ufrag')}`, `a=ice-pwd:${line(sdp, 'ice-pwd')}`];
  const media = sdp.match(/^m=.*$/m)[0].trim();
  return [...head, media, `a=mid:${mid}`, ...candidates.map((text) => `a=${text}`), ''].join('\r\n');
}

async function trickle(candidates) {
  const headers = { 'Content-Type': FRAGMENT, ...(etag && { 'If-Match': etag }) };
  const answer = await send('PATCH', resource, fragment(pc.localDescription.sdp, candidates), headers);
  if (![200, 204].includes(answer.status)) note(`trickle refused: ${await answer.text()}`);
}

function onCandidate({ candidate }) {
  const text = candidate?.candidate || 'end-of-candidates';
  note(text);
  if (!options.trickle) return;
  if (resource) trickle([text]);
  else waiting.push(text);
}

// Simulcast as it was before rids: an SSRC for each layer, smallest first, and all of them in a group.
function grouped(sdp) {
  const start = sdp.indexOf('m=video');
  const [head, section] = [sdp.slice(0, start), sdp.slice(start)];
  const [, first, resent] = section.match(/^a=ssrc-group:FID (\d+) (\d+)/m);
  const about = [...section.matchAll(/^a=ssrc:(\d+) (.*)\r$/gm)];
  const ssrcs = Array.from({ length: options.layers }, (_, place) => [Number(first) + place, Number(resent) + place]);
  const lines = [`a=ssrc-group:SIM ${ssrcs.map(([ssrc]) => ssrc).join(' ')}`];
  for (const pair of ssrcs) {
    lines.push(`a=ssrc-group:FID ${pair.join(' ')}`);
    for (const [, of, text] of about) lines.push(`a=ssrc:${pair[of === first ? 0 : 1]} ${text}`);
  }
  return `${head}${section.replace(/^a=ssrc.*\r\n/gm, '')}${lines.join('\r\n')}\r\n`;
}

function encodings() {
  const rids = ['q', 'h', 'f'].slice(-options.layers);
  return rids.map((rid, place) => {
    const scaleResolutionDownBy = 2 ** (rids.length - 1 - place);
    const maxBitrate = Math.round((options.kbps * 1000) / scaleResolutionDownBy ** 1.5);
    return { ...(rids.length > 1 && { rid }), scaleResolutionDownBy, maxBitrate, maxFramerate: 30 };
  });
}

function only(codec) {
  const { codecs } = RTCRtpSender.getCapabilities('video');
  return codecs.filter((one) => [`video/${codec}`, 'video/rtx'].includes(one.mimeType.toLowerCase()));
}

// A busy machine looks to Chromium like a full network, and it stops layers: its estimate gets a floor.
function floored(sdp, kbps) {
  const type = sdp.match(/^m=video \d+ \S+ (\d+)/m)?.[1];
  if (!type || !kbps) return sdp;
  const wish = `x-google-min-bitrate=${kbps};x-google-start-bitrate=${kbps}`;
  const given = new RegExp(`^(a=fmtp:${type} .*?)\r?$`, 'm');
  if (given.test(sdp)) return sdp.replace(given, `$1;${wish}\r`);
  return sdp.replace(new RegExp(`^(a=rtpmap:${type} .*?)\r?$`, 'm'), `$1\r\na=fmtp:${type} ${wish}\r`);
}

function gathered() {
  return new Promise((done) => {
    const look = () => pc.iceGatheringState === 'complete' && done();
    pc.addEventListener('icegatheringstatechange', look);
    look();
  });
}

// Only the candidates that match, in both descriptions: `options.candidates` is a regular expression.
function chosen(sdp) {
  const wanted = options.candidates && new RegExp(options.candidates, 'i');
  return wanted ? sdp.replace(/^a=candidate:.*\r?\n/gm, (text) => (wanted.test(text) ? text : '')) : sdp;
}

async function start(given) {
  options = { codec: 'vp8', layers: 1, trickle: false, degrade: 'maintain-resolution', ...given };
  const media = await (options.camera ? camera : pattern)(options);
  pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  pc.onicecandidate = onCandidate;
  pc.onconnectionstatechange = () => note(`state ${pc.connectionState}`);
  for (const track of media.getTracks()) {
    const video = track.kind === 'video';
    if (options.only && options.only !== track.kind) continue;
    // The layers of a group are known when it is offered.
    const sendEncodings = video && !options.groups ? encodings() : [{}];
    const transceiver = pc.addTransceiver(track, { direction: 'sendonly', streams: [media], sendEncodings });
    if (!video) continue;
    transceiver.setCodecPreferences(only(options.codec));
    const parameters = transceiver.sender.getParameters();
    parameters.degradationPreference = options.degrade;
    await transceiver.sender.setParameters(parameters);
  }
  if (options.groups) {
    const { sdp } = await pc.createOffer();
    await pc.setLocalDescription({ type: 'offer', sdp: grouped(sdp) });
    const sender = pc.getSenders().find((one) => one.track?.kind === 'video');
    const parameters = sender.getParameters();
    encodings().forEach(({ rid, ...wanted }, place) => Object.assign(parameters.encodings[place], wanted));
    await sender.setParameters(parameters);
  } else {
    await pc.setLocalDescription();
  }
  const early = pc.localDescription.sdp;
  if (!options.trickle) await gathered();
  const endpoint = options.inPath ? `${options.url}/${options.key}` : options.url;
  const sdp = chosen(options.trickle ? early : pc.localDescription.sdp);
  const answer = await send('POST', endpoint, sdp, { 'Content-Type': 'application/sdp' });
  if (answer.status !== 201) {
    refused = answer.status;
    return note(await answer.text());
  }
  const location = answer.headers.get('Location');
  etag = answer.headers.get('ETag') ?? '';
  note(`Location ${location} ETag ${etag}`);
  await pc.setRemoteDescription({ type: 'answer', sdp: floored(chosen(await answer.text()), options.floor) });
  resource = new URL(location, options.resourceAt ?? endpoint).href;
  const late = waiting.splice(0);
  if (late.length) await trickle(late);
}

// RFC 9725 section 4.3.3: new credentials both ways, everything else of the answer stays.
async function restart() {
  pc.restartIce();
  const whole = options.trickle;
  options.trickle = false;
  const before = pc.currentRemoteDescription.sdp;
  await pc.setLocalDescription();
  await gathered();
  const sdp = pc.localDescription.sdp;
  const candidates = [...new Set([...sdp.matchAll(/^a=(candidate:.*)$/gm)].map((found) => found[1].trim()))];
  note('asks for a restart');
  const headers = { 'Content-Type': FRAGMENT, 'If-Match': '*' };
  const answer = await send('PATCH', resource, fragment(sdp, candidates), headers);
  const body = await answer.text();
  if (answer.status !== 200) throw new Error(`restart refused: ${answer.status} ${body}`);
  etag = answer.headers.get('ETag') ?? etag;
  note(`restarted with ${line(body, 'ice-ufrag')} ETag ${etag}`);
  const changed = before
    .replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${line(body, 'ice-ufrag')}`)
    .replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${line(body, 'ice-pwd')}`);
  await pc.setRemoteDescription({ type: 'answer', sdp: changed });
  options.trickle = whole;
}

async function stats() {
  const report = pc ? [...(await pc.getStats()).values()] : [];
  const sent = report.filter((one) => one.type === 'outbound-rtp');
  const pair = report.find((one) => one.type === 'candidate-pair' && one.nominated && one.state === 'succeeded');
  const found = { packets: 0, bytes: 0, layers: {}, rtt: pair?.currentRoundTripTime ?? null };
  for (const one of sent) {
    found.packets += one.packetsSent;
    found.bytes += one.bytesSent;
    const { packetsSent: packets, frameWidth: width, framesPerSecond: fps, pliCount: pli, nackCount: nack } = one;
    const why = one.qualityLimitationReason;
    if (one.kind === 'video') found.layers[one.rid ?? one.ssrc] = { packets, width, fps, pli, nack, why };
  }
  return found;
}

async function stop() {
  const answer = resource ? await send('DELETE', resource) : null;
  pc?.close();
  return answer?.status ?? 0;
}

window.whip = {
  start,
  setLoudness: (gain) => { hum.value = gain; },
  restart,
  stats,
  stop,
  log: () => log,
  refused: () => refused,
  connected: () => pc?.connectionState === 'connected',
  candidates: () => log.filter((text) => text.includes('candidate:')).length,
  // The picture by so many smaller, from now on.
  setScale: async (by) => {
    const sender = pc.getSenders().find((one) => one.track?.kind === 'video');
    const parameters = sender.getParameters();
    parameters.encodings[0].scaleResolutionDownBy = by;
    await sender.setParameters(parameters);
  },
  // A layer that the client stops sending, and sends again.
  setActive: async (rid, active) => {
    const sender = pc.getSenders().find((one) => one.track?.kind === 'video');
    const parameters = sender.getParameters();
    parameters.encodings.find((one) => one.rid === rid).active = active;
    await sender.setParameters(parameters);
  },
};
