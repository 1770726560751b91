using System.Collections.Concurrent;
using System.Globalization;
using DarkStorage.TestKit;
using Xunit;

namespace DarkStorage.Simulation.Model;

/// <summary>A node against a model of S3. <c>DARKSTORAGE_TEST_SEED</c> repeats one story; <c>DARKSTORAGE_TEST_STORIES</c> sets how many there are.</summary>
public sealed class ModelTests(NodeFixture node, ITestOutputHelper output) : IClassFixture<NodeFixture>
{
    private const int Steps = 60;
    private const int AtOnce = 6;

    /// <summary>Half of the stories are the same in every run, half are new.</summary>
    private static readonly int Stories = Seeds.Count("DARKSTORAGE_TEST_STORIES", 200);

    private static readonly IEnumerable<int> AllSeeds = Seeds.Asked is { } one ? [one] : [.. Enumerable.Range(1, Stories / 2), .. Enumerable.Range(0, Stories - Stories / 2).Select(_ => Seeds.Next())];

    [Fact]
    public async Task Whatever_is_done_to_a_bucket_the_node_answers_as_S3_would()
    {
        var problems = new ConcurrentQueue<string>();
        await Parallel.ForEachAsync(AllSeeds, new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (seed, _) =>
        {
            if (await new ModelRun(node.Raw, seed).RunAsync(Steps) is { } problem) problems.Enqueue(problem);
        });
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{AllSeeds.Count()} stories of {Steps} steps, {problems.Count} that differ"));
        // The shortest story is the easiest to understand.
        Assert.True(problems.IsEmpty, string.Create(CultureInfo.InvariantCulture, $"{problems.Count} stories differ; the shortest:\n{problems.MinBy(p => p.Length)}"));
    }

    [Fact]
    public async Task What_is_changed_behind_the_models_back_is_noticed()
    {
        Assert.Null(await new ModelRun(node.Raw, 1).RunAsync(0));
        Assert.Contains("Entries", await new ModelRun(node.Raw, 1).RunAsync(0, bucket => node.Raw.PutAsync($"/{bucket}/intruder", "x")), StringComparison.Ordinal);
        Assert.Contains("NoSuchBucket", await new ModelRun(node.Raw, 1).RunAsync(0, bucket => node.Raw.DeleteAsync($"/{bucket}")), StringComparison.Ordinal);
    }
}
