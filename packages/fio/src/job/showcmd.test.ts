import { expect, it } from "vitest";
import { showCommands } from "./showcmd.ts";
import { hasFio, realFio, testEnv } from "./testing.ts";

const TEXT = `[global]
ioengine=null
filename=foo
blocksize=4k
time_based=0
[a]
rw=read ; comment
norandommap
description=hello world
bs=4k,
numjobs=2
[global]
iodepth=4
[b]
stonewall
rw=randread
`;
const SHOWN =
  "fio --ioengine=null --bs=4k --time_based=0 --filename=foo --name=a --rw=read --norandommap " +
  '--description="hello world" --bs=4k, --numjobs=2 --ioengine=null --bs=4k --time_based=0 --filename=foo ' +
  "--iodepth=4 --name=b --stonewall --rw=randread \n";

it("a file as a command line is one line, with all defaults so far at each [global]", () => {
  const shown = showCommands([{ name: "a.fio", text: TEXT }], testEnv());
  expect(shown).toEqual({ text: SHOWN });
});

it("each file is a line of its own, a filtered one an empty line", () => {
  const sources = ["[a]\nbs=4k\n", "[b]\nbs=8k\n"].map((text) => ({ name: "x", text }));
  expect(showCommands(sources, testEnv())).toEqual({
    text: "fio --name=a --bs=4k \nfio --name=b --bs=8k \n",
  });
  expect(showCommands(sources, testEnv(), { sections: ["b"] })).toEqual({
    text: "\nfio --name=b --bs=8k \n",
  });
});

it.skipIf(!hasFio())("is what real fio prints (skipped where fio 3.33 is not installed)", () => {
  expect(realFio(["--showcmd"], TEXT)).toEqual({ exit: 0, output: SHOWN });
});
