// Reading time of one place on the screen, without breaks.

export class Clock {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.start();
  }

  // Begin with the times that an earlier showing of the same place has used already (after a reload).
  start(ms = 0, awayMs = 0) {
    this.used = { ms, awayMs };
    this.since = this.now();
    this.away = false;
  }

  pause() { this.#turn(true); }
  resume() { this.#turn(false); }

  // Milliseconds of reading and of absence, until now.
  read() {
    const going = this.now() - this.since;
    const { ms, awayMs } = this.used;
    return this.away ? { ms, away_ms: awayMs + going } : { ms: ms + going, away_ms: awayMs };
  }

  #turn(away) {
    if (away === this.away) return;
    const { ms, away_ms } = this.read();
    this.used = { ms, awayMs: away_ms };
    this.since = this.now();
    this.away = away;
  }
}
