// What the browser's WebRTC statistics say about the tracks of a room.

/** Reads the inbound statistics of a room's tracks; rates are those since the read before. */
export class Meter {
  constructor(room) {
    this.room = room;
    this.before = new Map();
  }

  /** {width, height, fps, videoBps, audioBps, bufferMs, rttMs, level, codecs}; what is not known is undefined or 0. */
  async read() {
    const found = { codecs: [], level: 0 };
    for (const participant of this.room.remoteParticipants.values()) {
      for (const { track } of participant.trackPublications.values()) {
        if (track?.receiver) this.#add(found, track.kind, await track.receiver.getStats());
      }
    }
    return found;
  }

  #add(found, kind, report) {
    const inbound = [...report.values()].find((entry) => entry.type === 'inbound-rtp');
    if (!inbound) return;
    const before = this.before.get(inbound.ssrc);
    this.before.set(inbound.ssrc, inbound);
    const codec = report.get(inbound.codecId)?.mimeType.split('/')[1];
    if (codec) found.codecs.push(codec);
    const pair = [...report.values()].find((entry) => entry.type === 'candidate-pair' && entry.nominated);
    if (pair) found.rttMs = 1000 * pair.currentRoundTripTime;
    if (!before) return;
    const since = (name) => inbound[name] - before[name];
    const bps = (8 * since('bytesReceived')) / ((inbound.timestamp - before.timestamp) / 1000);
    if (kind === 'video') {
      Object.assign(found, { width: inbound.frameWidth, height: inbound.frameHeight, fps: inbound.framesPerSecond });
      found.videoBps = bps;
      found.bufferMs = (1000 * since('jitterBufferDelay')) / since('jitterBufferEmittedCount');
    } else {
      found.audioBps = bps;
      found.level = inbound.audioLevel ?? 0;
    }
  }
}
