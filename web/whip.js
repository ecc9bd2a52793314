// A WHIP client (RFC 9725): publishes a MediaStream, sends its candidates as they come, and restarts ICE when the path breaks.

const FRAGMENT = 'application/trickle-ice-sdpfrag';
const BROKEN_MS = 2000;

// Smallest first, as browsers expect it: each twice as wide as the one before.
const LAYERS = [
  { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 200_000 },
  { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 700_000 },
  { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 2_500_000 },
];

const line = (sdp, name) => sdp.match(new RegExp(`^a=${name}:(.*)$`, 'm'))?.[1].trim();

export class Whip {
  #pc; #etag; #resource; #waiting = []; #url; #key; #broken;

  constructor(url, key) {
    [this.#url, this.#key] = [url, key];
  }

  // codec: 'VP8', 'H264', … or '' for the browser's own choice.
  async publish(stream, { simulcast, codec, iceServers = [] }) {
    const pc = this.#pc = new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle' });
    for (const track of stream.getTracks()) {
      const several = simulcast && track.kind === 'video';
      const transceiver = pc.addTransceiver(track, {
        direction: 'sendonly', streams: [stream], sendEncodings: several ? LAYERS : undefined,
      });
      if (track.kind === 'video' && codec) prefer(transceiver, codec);
    }
    pc.onicecandidate = ({ candidate }) => candidate?.candidate && this.#trickle(candidate);
    pc.oniceconnectionstatechange = () => this.#watch();
    await pc.setLocalDescription();
    const answer = await this.#ask(this.#url, 'POST', 'application/sdp', pc.localDescription.sdp);
    this.#resource = new URL(answer.headers.get('Location'), this.#url).href;
    this.#etag = answer.headers.get('ETag');
    await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
    this.#waiting.splice(0).forEach((candidate) => this.#trickle(candidate));
  }

  get state() {
    return this.#pc?.connectionState ?? 'closed';
  }

  stats() {
    return this.#pc.getStats();
  }

  async stop() {
    clearTimeout(this.#broken);
    // First, so that the server hears of the end from this and not from a connection that is gone.
    if (this.#resource) await this.#ask(this.#resource, 'DELETE').finally(() => this.#pc.close());
    else this.#pc?.close();
  }

  async #ask(url, method, type, body, more = {}) {
    const headers = { Authorization: `Bearer ${this.#key}`, ...(type && { 'Content-Type': type }), ...more };
    const answer = await fetch(url, { method, headers, body });
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.detail ?? problem.title ?? `${method} was answered with ${answer.status}`);
  }

  async #trickle(candidate) {
    if (!this.#resource) return this.#waiting.push(candidate);
    const { sdp } = this.#pc.localDescription;
    const body = [
      `a=ice-ufrag:${line(sdp, 'ice-ufrag')}`, `a=ice-pwd:${line(sdp, 'ice-pwd')}`,
      'm=audio 9 UDP/TLS/RTP/SAVPF 0', `a=mid:${candidate.sdpMid ?? 0}`, `a=${candidate.candidate}`, '',
    ].join('\r\n');
    // One that is lost costs nothing: the server learns the address from the first check that comes from it.
    await this.#ask(this.#resource, 'PATCH', FRAGMENT, body, { 'If-Match': this.#etag }).catch(() => {});
  }

  #watch() {
    clearTimeout(this.#broken);
    const state = this.#pc.iceConnectionState;
    if (state === 'failed') this.restart();
    if (state === 'disconnected') this.#broken = setTimeout(() => this.restart(), BROKEN_MS);
  }

  async restart() {
    const pc = this.#pc;
    const before = pc.remoteDescription.sdp;
    pc.restartIce();
    await pc.setLocalDescription();
    const { sdp } = pc.localDescription;
    const body = `a=ice-ufrag:${line(sdp, 'ice-ufrag')}\r\na=ice-pwd:${line(sdp, 'ice-pwd')}\r\n`;
    const answer = await this.#ask(this.#resource, 'PATCH', FRAGMENT, body, { 'If-Match': '*' });
    this.#etag = answer.headers.get('ETag');
    const fragment = await answer.text();
    const renewed = ['ice-ufrag', 'ice-pwd'].reduce(
      (text, name) => text.replace(new RegExp(`^a=${name}:.*$`, 'gm'), `a=${name}:${line(fragment, name)}`), before);
    await pc.setRemoteDescription({ type: 'answer', sdp: renewed });
  }
}

function prefer(transceiver, codec) {
  const known = RTCRtpSender.getCapabilities('video').codecs;
  const wanted = known.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${codec}`.toLowerCase());
  if (wanted.length) transceiver.setCodecPreferences([...wanted, ...known.filter((other) => !wanted.includes(other))]);
}
