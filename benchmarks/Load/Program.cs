// A load program for any S3 endpoint. One mode measures one endpoint, the others measure a node against the yardstick, and a cluster against one node:
//
//   dotnet run -c Release --project benchmarks/Load -- run --url http://127.0.0.1:9000 --mix put=30,get=70 --size 65536 --connections 32
//   dotnet run -c Release --project benchmarks/Load -- table --yardstick http://127.0.0.1:9100 --url http://127.0.0.1:9000
//   dotnet run -c Release --project benchmarks/Load -- cluster --one http://127.0.0.1:9000 --url http://127.0.0.1:9010,http://127.0.0.1:9020,http://127.0.0.1:9030
//
// Keys come from --access-key and --secret-key, or from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using DarkStorage.Load;

var url = new Option<string>("--url") { DefaultValueFactory = _ => "http://127.0.0.1:9000", Description = "The S3 endpoint under test; a host by its address. Several nodes of one cluster with commas between them" };
var yardstick = new Option<string>("--yardstick") { DefaultValueFactory = _ => "http://127.0.0.1:9100", Description = "The yardstick to compare with" };
var one = new Option<string>("--one") { DefaultValueFactory = _ => "http://127.0.0.1:9000", Description = "The node that stands alone" };
var accessKey = new Option<string>("--access-key") { DefaultValueFactory = _ => Environment.GetEnvironmentVariable("AWS_ACCESS_KEY_ID") ?? "" };
var secretKey = new Option<string>("--secret-key") { DefaultValueFactory = _ => Environment.GetEnvironmentVariable("AWS_SECRET_ACCESS_KEY") ?? "" };
var region = new Option<string>("--region") { DefaultValueFactory = _ => "us-east-1" };
var bucket = new Option<string>("--bucket") { DefaultValueFactory = _ => "load" };
var connections = new Option<int>("--connections") { DefaultValueFactory = _ => 16 };
var size = new Option<long>("--size") { DefaultValueFactory = _ => 4096, Description = "Bytes of an object" };
var objects = new Option<int>("--objects") { DefaultValueFactory = _ => 10_000, Description = "How many objects are read and written over" };
var seconds = new Option<double>("--seconds") { DefaultValueFactory = _ => 10 };
var rounds = new Option<int>("--rounds") { DefaultValueFactory = _ => 3 };
var mix = new Option<string>("--mix") { DefaultValueFactory = _ => "get", Description = "Shares: put=70,get=20,head=5,list=4,delete=1" };
var delimiter = new Option<string?>("--delimiter") { Description = "For lists" };
var folders = new Option<int>("--folders") { Description = "Deal the keys out into so many folders" };
var prepare = new Option<bool>("--prepare") { Description = "Put all objects first" };
var warmUp = new Option<double>("--warm-up") { Description = "Seconds of each row's load on each endpoint before it counts: a program that has just started still compiles itself" };
var only = new Option<string?>("--only") { Description = "Rows of the table whose name contains this" };
var json = new Option<string?>("--json") { Description = "A file for the figures" };

var run = new Command("run", "Measures one endpoint") { url, accessKey, secretKey, region, bucket, connections, size, objects, seconds, mix, delimiter, folders, prepare, json };
run.SetAction(async (parsed, _) =>
{
    var endpoint = At(parsed, "endpoint", url);
    var work = new Workload(parsed.GetValue(bucket)!, "load/", parsed.GetValue(connections), parsed.GetValue(size), Mix.Parse(parsed.GetValue(mix)!),
        parsed.GetValue(objects), TimeSpan.FromSeconds(parsed.GetValue(seconds)), parsed.GetValue(delimiter), parsed.GetValue(folders));
    await Runner.EnsureBucketAsync(endpoint, work.Bucket);
    if (parsed.GetValue(prepare)) await Runner.PrepareAsync(endpoint, work);
    var result = await Runner.RunAsync(endpoint, work);
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
        $"{result.RequestsPerSecond:n0} requests/s, {result.MegabytesPerSecond:n1} MB/s, errors {result.Errors}, ms p50 {result.P50:n2} p90 {result.P90:n2} p99 {result.P99:n2} p99.9 {result.P999:n2} max {result.Max:n2}"));
    await WriteJsonAsync(parsed.GetValue(json), result);
    return result.Errors == 0 ? 0 : 1;
});

var table = new Command("table", "Measures the node against the yardstick, row by row, rounds interleaved, median of the rounds") { url, yardstick, accessKey, secretKey, region, seconds, rounds, warmUp, only, json };
table.SetAction((parsed, _) => CompareAsync(parsed, Comparison.OfNode, At(parsed, "yardstick", yardstick), At(parsed, "node", url)));

var cluster = new Command("cluster", "Measures a cluster against one node in the same way") { one, url, accessKey, secretKey, region, seconds, rounds, warmUp, only, json };
cluster.SetAction((parsed, _) => CompareAsync(parsed, Comparison.OfCluster, At(parsed, "one", one), At(parsed, "cluster", url)));

return await new RootCommand("A load program for S3 endpoints") { run, table, cluster }.Parse(args).InvokeAsync();

Endpoint At(ParseResult parsed, string name, Option<string> where) =>
    new(name, [.. parsed.GetValue(where)!.Split(',').Select(u => new Uri(u))], parsed.GetValue(accessKey)!, parsed.GetValue(secretKey)!, parsed.GetValue(region)!);

async Task<int> CompareAsync(ParseResult parsed, IEnumerable<Comparison.Plan> plans, Endpoint first, Endpoint second)
{
    var rows = await Comparison.RunAsync(plans, first, second, parsed.GetValue(rounds), TimeSpan.FromSeconds(parsed.GetValue(seconds)), TimeSpan.FromSeconds(parsed.GetValue(warmUp)), parsed.GetValue(only), Console.Out);
    await WriteJsonAsync(parsed.GetValue(json), rows);
    return rows.All(r => r.Reached) ? 0 : 1;
}

static async Task WriteJsonAsync<T>(string? file, T value)
{
    if (file is not null) await File.WriteAllTextAsync(file, JsonSerializer.Serialize(value, JsonSerializerOptions.Web));
}
