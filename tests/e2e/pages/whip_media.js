// What a browser publishes: Chromium's fake camera, or pictures with the bar code, flash and beep of harness/clip.py.
const FPS = 30;
const LAP = 600;
const FLASH_FRAMES = 3;
const BEEP_S = 0.05;

export async function camera({ width, height }) {
  return navigator.mediaDevices.getUserMedia({ video: { width, height, frameRate: FPS }, audio: true });
}

function draw(pen, number, width, height) {
  const shift = (number * 4) % width;
  for (let i = 0; i < 8; i += 1) {
    pen.fillStyle = `hsl(${45 * i} 60% ${30 + 5 * i}%)`;
    pen.fillRect(((i * width) / 8 + shift) % width, 0, width / 8 + 1, height);
  }
  pen.fillStyle = 'white';
  pen.font = `${height / 6}px sans-serif`;
  pen.fillText(String(number), width / 2, height / 2 + Math.sin(number / 10) * (height / 6));
  pen.fillStyle = 'black';
  pen.fillRect(0, 0, width, height / 20);
  const value = number % LAP;
  const check = ((value & 15) + ((value >> 4) & 15) + (value >> 8)) % 16;
  const bits = [1, 0];
  for (let bit = 0; bit < 12; bit += 1) bits.push((value >> bit) & 1);
  for (let bit = 0; bit < 4; bit += 1) bits.push((check >> bit) & 1);
  pen.fillStyle = 'white';
  bits.forEach((on, i) => on && pen.fillRect((width * (i + 1)) / 20, 0, width / 20, height / 20));
  pen.fillStyle = number % FPS < FLASH_FRAMES ? 'white' : 'black';
  pen.fillRect(0, (height * 3) / 4, width / 4, height / 4);
}

// The gain of the tone between the beeps.
export let hum;

export async function pattern({ width, height, microphone }) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  const audio = new AudioContext({ sampleRate: 48000 });
  const out = audio.createMediaStreamDestination();
  const [low, tone] = [220, 1000].map((frequency) => {
    const [source, level] = [audio.createOscillator(), audio.createGain()];
    source.frequency.value = frequency;
    level.gain.value = 0;
    source.connect(level).connect(out);
    source.start();
    return level.gain;
  });
  hum = low;
  hum.value = 0.02;
  // A picture when we say so; Firefox takes one whenever something was drawn.
  const asked = 'CanvasCaptureMediaStreamTrack' in window;
  const stream = canvas.captureStream(asked ? 0 : undefined);
  const [track] = stream.getVideoTracks();
  const began = performance.now();
  let last = -1;
  const tick = () => {
    const number = Math.floor(((performance.now() - began) * FPS) / 1000);
    if (number === last) return;
    if (Math.floor(number / FPS) !== Math.floor(last / FPS)) {
      tone.setValueAtTime(0.6, audio.currentTime);
      tone.setValueAtTime(0, audio.currentTime + BEEP_S);
    }
    last = number;
    draw(pen, number, width, height);
    if (asked) track.requestFrame();
  };
  tick();
  // Twice as often as pictures are due: a late timer then costs no picture.
  setInterval(tick, 500 / FPS);
  const heard = microphone ? await navigator.mediaDevices.getUserMedia({ audio: true }) : out.stream;
  stream.addTrack(heard.getAudioTracks()[0]);
  return stream;
}
