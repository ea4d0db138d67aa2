// Reads a JSON list of the Prometheus Operator's objects from standard input, and prints what the shapes of its
// definitions do not allow.
import * as v1 from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

let text = "";
for await (const part of process.stdin) text += part;
for (const object of JSON.parse(text)) {
  try {
    new v1[object.kind](object).validate();
  } catch (error) {
    console.log(`${object.kind}: ${error.message}`);
  }
}
