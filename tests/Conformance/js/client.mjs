// What an application does with the AWS SDK for JavaScript, with its defaults: CRC trailers on every write.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
    S3Client, CreateBucketCommand, PutObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, DeleteObjectsCommand,
    DeleteBucketCommand, CopyObjectCommand, NoSuchKey, paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { Readable } from "node:stream";

const s3 = new S3Client({ endpoint: process.env.ENDPOINT, region: process.env.AWS_REGION, forcePathStyle: true, maxAttempts: 1 });
const Bucket = process.env.BUCKET;
const bytesOf = async (Key) => Buffer.from(await (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body.transformToByteArray());

await s3.send(new CreateBucketCommand({ Bucket }));

await s3.send(new PutObjectCommand({ Bucket, Key: "a b/ü+🌍", Body: "content", ContentType: "text/plain", Metadata: { name: "value" } }));
const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "a b/ü+🌍", ChecksumMode: "ENABLED" }));
assert.equal(head.ContentType, "text/plain");
assert.deepEqual(head.Metadata, { name: "value" });
assert.ok(head.ChecksumCRC32, "the SDK's own checksum was not kept");
assert.equal((await bytesOf("a b/ü+🌍")).toString(), "content");

// A stream of known length goes in chunks with a trailer.
const streamed = randomBytes(300_001);
await s3.send(new PutObjectCommand({ Bucket, Key: "streamed", Body: Readable.from([streamed.subarray(0, 100_000), streamed.subarray(100_000)]), ContentLength: streamed.length }));
assert.ok(streamed.equals(await bytesOf("streamed")));

for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "SHA1", "SHA256"]) {
    await s3.send(new PutObjectCommand({ Bucket, Key: ChecksumAlgorithm, Body: streamed, ChecksumAlgorithm }));
    assert.ok(streamed.equals(await bytesOf(ChecksumAlgorithm)));
}

// Multipart, from a stream whose length nobody knows.
const large = randomBytes((12 << 20) + 345);
const upload = new Upload({ client: s3, params: { Bucket, Key: "large", Body: Readable.from((function* () { for (let i = 0; i < large.length; i += 70_000) yield large.subarray(i, i + 70_000); })()) }, partSize: 5 << 20, queueSize: 3 });
const completed = await upload.done();
assert.match(completed.ETag, /^"[0-9a-f]{32}-3"$/);
assert.ok(large.equals(await bytesOf("large")));
const range = await s3.send(new GetObjectCommand({ Bucket, Key: "large", Range: "bytes=5242000-5243000" }));
assert.ok(large.subarray(5242000, 5243001).equals(Buffer.from(await range.Body.transformToByteArray())));

await s3.send(new CopyObjectCommand({ Bucket, Key: "copy", CopySource: `${Bucket}/large` }));
assert.ok(large.equals(await bytesOf("copy")));

await assert.rejects(() => bytesOf("none"), NoSuchKey);
await assert.rejects(() => s3.send(new PutObjectCommand({ Bucket, Key: "copy", Body: "x", IfNoneMatch: "*" })), { name: "PreconditionFailed" });

const keys = [];
for await (const page of paginateListObjectsV2({ client: s3, pageSize: 3 }, { Bucket })) keys.push(...page.Contents.map((c) => c.Key));
assert.deepEqual(keys, ["CRC32", "CRC32C", "SHA1", "SHA256", "a b/ü+🌍", "copy", "large", "streamed"]);
const folded = await s3.send(new ListObjectsV2Command({ Bucket, Delimiter: "/" }));
assert.deepEqual(folded.CommonPrefixes.map((p) => p.Prefix), ["a b/"]);

await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: keys.map((Key) => ({ Key })) } }));
assert.equal((await s3.send(new ListObjectsV2Command({ Bucket }))).KeyCount, 0);
await s3.send(new DeleteBucketCommand({ Bucket }));
console.log("all is well");
