using System.Collections.Immutable;
using System.Runtime.CompilerServices;

namespace DarkStorage.Engine.Tests;

[GenerateSerializer, Alias("quota-exceeded")]
public sealed class QuotaExceededException(string message, string bucket, long limit) : Exception(message)
{
    [Id(0)]
    public string Bucket { get; } = bucket;

    [Id(1)]
    public long Limit { get; } = limit;
}

[GenerateSerializer]
public class Shape
{
    [Id(0)]
    public string Name { get; set; } = "";

    /// <summary>Has no number, so it stays where it was set.</summary>
    public string Private { get; set; } = "unset";
}

[GenerateSerializer]
public sealed class Circle : Shape
{
    [Id(0)]
    public double Radius { get; set; }
}

[GenerateSerializer]
public sealed record Order(string Id, List<string> Items)
{
    [Id(0)]
    public Dictionary<string, int[]> Counts { get; init; } = [];
}

[GenerateSerializer]
public sealed class Node
{
    [Id(0)]
    public Node? Next { get; set; }

    [Id(1)]
    public int Number { get; set; }
}

[GenerateSerializer]
public readonly record struct Point(int X, int Y);

[GenerateSerializer]
public enum Colour
{
    Red,
    Blue,
}

[GenerateSerializer]
public sealed record Everything(
    string? Text, byte[]? Bytes, ReadOnlyMemory<byte> Memory, Guid Id, DateTime Time, DateTimeOffset Offset, TimeSpan Span, UInt128 Big,
    int? Maybe, long[] Longs, List<Point> Points, Dictionary<string, Point> Map, HashSet<int> Set, ImmutableArray<string> Array,
    ImmutableList<int> List, ImmutableDictionary<string, int> Dictionary, ImmutableSortedDictionary<string, int> Sorted,
    (int, string) Tuple, KeyValuePair<string, int> Pair, Colour Colour, decimal Money, Uri? Uri);

/// <summary>Cannot cross grains: nothing says how.</summary>
public sealed class Unserializable
{
    public string Name { get; set; } = "";
}

public interface ICallGrain : IGrainWithStringKey
{
    Task Throw(string kind);

    Task<string> StackOf();

    Task<int> Keep(Order order);

    Task<Order> Kept();

    Task<string> Name(Shape shape);

    Task<Shape> Echo(Shape shape);

    Task<Everything> EchoAll(Everything everything);

    Task<bool> IsShared(List<int> a, List<int> b);

    Task<int> Circle(Node node);

    ValueTask<int> Add(int a, int b);

    ValueTask Nothing();

    Task<string?> Null(string? text);

    Task<string> ByReference(ICallGrain other);

    Task<ICallGrain> Myself();

    Task<int> Many(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j);

    [OneWay]
    Task Tell(string gate);

    [OneWay]
    Task TellAndFail(string gate);

    [ResponseTimeout("00:00:00.300")]
    Task WaitShortly(string gate);

    Task Wait(string gate, CancellationToken ct);

    Task WaitInvoluntarily(string gate, CancellationToken ct);

    Task<bool> CanBeCancelled(CancellationToken ct = default);

    IAsyncEnumerable<int> Count(int to, CancellationToken ct = default);

    IAsyncEnumerable<int> CountAndFail(int to);

    IAsyncEnumerable<string> Watch(string gate, CancellationToken ct = default);
}

public interface IUnserializableGrain : IGrainWithStringKey
{
    Task Take(Unserializable thing);
}

public sealed class UnserializableGrain : Grain, IUnserializableGrain
{
    public Task Take(Unserializable thing) => Task.CompletedTask;
}

public interface IObjectGrain : IGrainWithStringKey
{
    Task Take(object thing);
}

public sealed class ObjectGrain : Grain, IObjectGrain
{
    public Task Take(object thing) => Task.CompletedTask;
}

public interface INobodyGrain : IGrainWithStringKey
{
    Task Touch();
}

public sealed class CallGrain : Grain, ICallGrain
{
    private Order _order = new("", []);

    public async Task Throw(string kind)
    {
        await Task.Yield();
        throw kind switch
        {
            "quota" => new QuotaExceededException("the bucket is full", "photos", 42),
            "argument" => new ArgumentException("wrong", nameof(kind)),
            _ => new InvalidOperationException(kind, new IOException("inner")),
        };
    }

    public Task<string> StackOf() => throw new InvalidOperationException("thrown before any task was made");

    public Task<int> Keep(Order order)
    {
        _order = order;
        return Task.FromResult(order.Items.Count);
    }

    public Task<Order> Kept() => Task.FromResult(_order);

    public Task<string> Name(Shape shape) => Task.FromResult($"{shape.GetType().Name} {shape.Name} {shape.Private}");

    public Task<Shape> Echo(Shape shape) => Task.FromResult(shape);

    public Task<Everything> EchoAll(Everything everything) => Task.FromResult(everything);

    public Task<bool> IsShared(List<int> a, List<int> b) => Task.FromResult(ReferenceEquals(a, b));

    public Task<int> Circle(Node node)
    {
        var steps = 1;
        for (var at = node.Next; at != node; at = at!.Next) steps++;
        return Task.FromResult(steps);
    }

    public ValueTask<int> Add(int a, int b) => new(a + b);

    public async ValueTask Nothing() => await Task.Yield();

    public Task<string?> Null(string? text) => Task.FromResult(text);

    public Task<string> ByReference(ICallGrain other) => Task.FromResult(other.GetPrimaryKeyString());

    public Task<ICallGrain> Myself() => Task.FromResult(this.AsReference<ICallGrain>());

    public Task<int> Many(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j) =>
        Task.FromResult(a + b + c + d + e + f + g + h + i + j);

    public async Task Tell(string gate)
    {
        await Gate.Named(gate).PassAsync();
        Journal.Add(gate, "done");
    }

    public Task TellAndFail(string gate)
    {
        Gate.Named(gate).Reach();
        throw new InvalidOperationException("nobody hears this");
    }

    public Task WaitShortly(string gate) => Gate.Named(gate).PassAsync();

    public async Task Wait(string gate, CancellationToken ct)
    {
        try
        {
            await Gate.Named(gate).PassAsync(ct);
        }
        catch (OperationCanceledException)
        {
            Journal.Add(gate, "cancelled");
            throw;
        }
    }

    public async Task WaitInvoluntarily(string gate, CancellationToken ct)
    {
        await Gate.Named(gate).PassAsync(CancellationToken.None);
        Journal.Add(gate, ct.IsCancellationRequested ? "told" : "not told");
    }

    public Task<bool> CanBeCancelled(CancellationToken ct) => Task.FromResult(ct.IsCancellationRequested);

    public async IAsyncEnumerable<int> Count(int to, [EnumeratorCancellation] CancellationToken ct)
    {
        for (var i = 0; i < to; i++)
        {
            if (i % 7 == 0) await Task.Yield();
            yield return i;
        }
    }

    public async IAsyncEnumerable<int> CountAndFail(int to)
    {
        for (var i = 0; i < to; i++) yield return i;
        await Task.Yield();
        throw new QuotaExceededException("no more", "numbers", to);
    }

    public async IAsyncEnumerable<string> Watch(string gate, [EnumeratorCancellation] CancellationToken ct)
    {
        try
        {
            yield return "first";
            await Gate.Named(gate).PassAsync(ct);
            yield return "second";
        }
        finally
        {
            Journal.Add(gate, "ended");
        }
    }
}

public sealed class CallTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    private readonly Cluster _cluster = fixture.Cluster;

    private ICallGrain NewGrain() => _cluster.Grain<ICallGrain>();

    // ---- Results and failures.

    [Fact]
    public async Task Value_tasks_nulls_and_many_arguments_come_through()
    {
        var grain = NewGrain();
        Assert.Equal(5, await grain.Add(2, 3));
        await grain.Nothing();
        Assert.Null(await grain.Null(null));
        Assert.Equal(55, await grain.Many(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
    }

    [Fact]
    public async Task An_exception_arrives_with_its_type_its_message_and_its_properties()
    {
        var error = await Assert.ThrowsAsync<QuotaExceededException>(() => NewGrain().Throw("quota"));
        Assert.Equal(("the bucket is full", "photos", 42L), (error.Message, error.Bucket, error.Limit));
        Assert.Contains(nameof(CallGrain.Throw), error.StackTrace, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_exception_arrives_with_the_one_that_caused_it()
    {
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => NewGrain().Throw("outer"));
        Assert.Equal(("outer", "inner"), (error.Message, error.InnerException!.Message));
    }

    [Fact]
    public async Task A_method_that_throws_before_it_has_a_task_fails_its_caller_and_not_its_grain()
    {
        var grain = NewGrain();
        await Assert.ThrowsAsync<InvalidOperationException>(grain.StackOf);
        Assert.Equal(2, await grain.Add(1, 1));
    }

    [Fact]
    public void An_interface_that_no_class_implements_is_a_clear_error()
    {
        var error = Assert.ThrowsAny<Exception>(() => _cluster.Grain<INobodyGrain>());
        Assert.Contains(nameof(INobodyGrain), error.Message, StringComparison.Ordinal);
    }

    // ---- Isolation.

    [Fact]
    public async Task What_the_caller_changes_after_the_call_the_grain_does_not_see()
    {
        var (grain, order) = (NewGrain(), new Order("1", ["a"]) { Counts = { ["x"] = [1] } });
        await grain.Keep(order);
        order.Items.Add("b");
        order.Counts["x"][0] = 9;
        var kept = await grain.Kept();
        Assert.Equal(["a"], kept.Items);
        Assert.Equal([1], kept.Counts["x"]);
    }

    [Fact]
    public async Task What_the_caller_changes_while_the_call_waits_the_grain_does_not_see()
    {
        var (grain, order, gate) = (NewGrain(), new Order("1", ["a"]), Gate.New());
        var waiting = grain.Wait(gate.Name, CancellationToken.None);
        var keep = grain.Keep(order);
        order.Items.Clear();
        gate.Open();
        await waiting;
        Assert.Equal(1, await keep);
    }

    [Fact]
    public async Task What_the_caller_changes_in_a_result_the_grain_does_not_see()
    {
        var grain = NewGrain();
        await grain.Keep(new("1", ["a"]));
        (await grain.Kept()).Items.Add("b");
        Assert.Equal(["a"], (await grain.Kept()).Items);
    }

    [Fact]
    public async Task A_derived_type_stays_derived_and_a_member_without_a_number_stays_behind()
    {
        var circle = new Circle { Name = "c", Radius = 2, Private = "secret" };
        Assert.Equal("Circle c unset", await NewGrain().Name(circle));
        var echo = Assert.IsType<Circle>(await NewGrain().Echo(circle));
        Assert.Equal(("c", 2.0), (echo.Name, echo.Radius));
    }

    [Fact]
    public async Task One_object_given_twice_arrives_as_one_object()
    {
        var list = new List<int> { 1 };
        Assert.True(await NewGrain().IsShared(list, list));
        Assert.False(await NewGrain().IsShared(list, [1]));
    }

    [Fact]
    public async Task A_circle_of_objects_arrives_as_a_circle()
    {
        var first = new Node();
        var last = first;
        for (var i = 1; i < 20; i++) last = last.Next = new() { Number = i };
        last.Next = first;
        Assert.Equal(20, await NewGrain().Circle(first));
    }

    [Fact]
    public async Task Every_kind_of_member_comes_through()
    {
        var sent = new Everything(
            "text", [1, 2], new byte[] { 3, 4 }, Guid.NewGuid(), DateTime.UtcNow, DateTimeOffset.Now, TimeSpan.FromHours(1), UInt128.MaxValue,
            7, [1L, 2L], [new(1, 2)], new() { ["p"] = new(3, 4) }, [5, 6], ["i"], [8], ImmutableDictionary<string, int>.Empty.Add("d", 9),
            ImmutableSortedDictionary<string, int>.Empty.Add("s", 10), (11, "t"), new("k", 12), Colour.Blue, 1.5m, new("http://localhost/"));
        var got = await NewGrain().EchoAll(sent);
        Assert.NotSame(sent, got);
        Assert.NotSame(sent.Bytes, got.Bytes);
        Assert.Equal(sent.Text, got.Text);
        Assert.Equal(sent.Bytes, got.Bytes);
        Assert.True(sent.Memory.Span.SequenceEqual(got.Memory.Span));
        Assert.Equal((sent.Id, sent.Time, sent.Offset, sent.Span, sent.Big), (got.Id, got.Time, got.Offset, got.Span, got.Big));
        Assert.Equal((sent.Maybe, sent.Colour, sent.Money, sent.Uri), (got.Maybe, got.Colour, got.Money, got.Uri));
        Assert.Equal((sent.Tuple, sent.Pair), (got.Tuple, got.Pair));
        Assert.Equal(sent.Longs, got.Longs);
        Assert.Equal(sent.Points, got.Points);
        Assert.Equal(sent.Map, got.Map);
        Assert.Equal(sent.Set, got.Set);
        Assert.Equal(sent.Array, got.Array);
        Assert.Equal(sent.List, got.List);
        Assert.Equal(sent.Dictionary, got.Dictionary);
        Assert.Equal(sent.Sorted, got.Sorted);
    }

    [Fact]
    public async Task A_type_that_nothing_serializes_is_refused()
    {
        var error = await Assert.ThrowsAnyAsync<Exception>(() =>
            _cluster.Grain<IUnserializableGrain>().Take(new Unserializable()));
        Assert.Equal("CodecNotFoundException", error.GetType().Name);
        Assert.Contains(nameof(Unserializable), error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_value_whose_own_type_nothing_serializes_is_refused()
    {
        var error = await Assert.ThrowsAnyAsync<Exception>(() => _cluster.Grain<IObjectGrain>().Take(new Unserializable()));
        Assert.Equal("CodecNotFoundException", error.GetType().Name);
        await _cluster.Grain<IObjectGrain>().Take(new Circle());
    }

    [Fact]
    public async Task A_reference_crosses_as_an_argument_and_as_a_result()
    {
        var (grain, other) = (NewGrain(), NewGrain());
        Assert.Equal(other.GetPrimaryKeyString(), await grain.ByReference(other));
        var self = await grain.Myself();
        Assert.Equal(grain.GetGrainId(), self.GetGrainId());
        Assert.Equal(3, await self.Add(1, 2));
        Assert.Equal(grain, self);
    }

    // ---- One way, timeouts, cancellation.

    [Fact]
    public async Task A_one_way_call_does_not_wait_for_the_grain()
    {
        var gate = Gate.New();
        await NewGrain().Tell(gate.Name);
        await gate.Reached;
        Assert.Empty(Journal.Of(gate.Name).Now);
        gate.Open();
        await Journal.Of(gate.Name).Count("done", 1);
    }

    [Fact]
    public async Task The_caller_of_a_one_way_call_hears_of_no_failure()
    {
        var (grain, gate) = (NewGrain(), Gate.New());
        await grain.TellAndFail(gate.Name);
        await gate.Reached;
        Assert.Equal(2, await grain.Add(1, 1));
    }

    [Fact]
    public async Task A_method_with_a_timeout_of_its_own_times_out_by_it()
    {
        var gate = Gate.New();
        await Assert.ThrowsAsync<TimeoutException>(() => NewGrain().WaitShortly(gate.Name).WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.True(gate.IsReached);
        gate.Open();
    }

    [Fact]
    public async Task A_grain_whose_caller_gave_up_serves_the_next_caller()
    {
        var (grain, gate) = (NewGrain(), Gate.New());
        await Assert.ThrowsAsync<TimeoutException>(() => grain.WaitShortly(gate.Name));
        gate.Open();
        Assert.Equal(2, await grain.Add(1, 1));
    }

    [Fact]
    public async Task A_cancellation_reaches_the_method()
    {
        var gate = Gate.New();
        using var cancellation = new CancellationTokenSource();
        var call = NewGrain().Wait(gate.Name, cancellation.Token);
        await gate.Reached;
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        await Journal.Of(gate.Name).Count("cancelled", 1);
    }

    [Fact]
    public async Task A_method_that_ignores_its_token_is_told_and_runs_to_its_end()
    {
        var (grain, gate) = (NewGrain(), Gate.New());
        using var cancellation = new CancellationTokenSource();
        var call = grain.WaitInvoluntarily(gate.Name, cancellation.Token);
        await gate.Reached;
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        gate.Open();
        await Journal.Of(gate.Name).Count("told", 1);
    }

    [Fact]
    public async Task A_call_with_a_cancelled_token_is_not_made()
    {
        var gate = Gate.New();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => NewGrain().Wait(gate.Name, new CancellationToken(true)));
        Assert.False(gate.IsReached);
        Assert.False(await NewGrain().CanBeCancelled());
    }

    [Fact]
    public async Task A_call_that_is_cancelled_while_it_waits_never_runs()
    {
        var (grain, first, second) = (NewGrain(), Gate.New(), Gate.New());
        var running = grain.Wait(first.Name, CancellationToken.None);
        await first.Reached;
        using var cancellation = new CancellationTokenSource();
        var waiting = grain.Wait(second.Name, cancellation.Token);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        first.Open();
        await running;
        await grain.Add(1, 1);
        Assert.False(second.IsReached);
    }

    // ---- Enumerations.

    [Fact]
    public async Task An_enumeration_brings_every_element_in_order()
    {
        Assert.Equal(Enumerable.Range(0, 1234), await ToListAsync(NewGrain().Count(1234)));
        Assert.Equal(Enumerable.Range(0, 50), await ToListAsync(NewGrain().Count(50).WithBatchSize(1)));
        Assert.Empty(await ToListAsync(NewGrain().Count(0)));
    }

    [Fact]
    public async Task An_enumeration_that_fails_brings_what_came_before_and_then_the_failure()
    {
        var got = new List<int>();
        var error = await Assert.ThrowsAsync<QuotaExceededException>(async () =>
        {
            await foreach (var item in NewGrain().CountAndFail(30)) got.Add(item);
        });
        Assert.Equal(Enumerable.Range(0, 30), got);
        Assert.Equal(30, error.Limit);
    }

    [Fact]
    public async Task An_enumeration_that_its_caller_leaves_ends_in_the_grain()
    {
        var gate = Gate.New();
        await foreach (var item in NewGrain().Watch(gate.Name))
        {
            Assert.Equal("first", item);
            break;
        }

        await Journal.Of(gate.Name).Count("ended", 1);
    }

    [Fact]
    public async Task An_enumeration_that_its_caller_cancels_ends_in_the_grain()
    {
        var gate = Gate.New();
        using var cancellation = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var item in NewGrain().Watch(gate.Name).WithCancellation(cancellation.Token))
                _ = gate.Reached.ContinueWith(_ => cancellation.Cancel(), TaskScheduler.Default);
        });
        await Journal.Of(gate.Name).Count("ended", 1);
    }

    [Fact]
    public async Task A_grain_that_is_enumerated_can_be_called()
    {
        var (grain, gate) = (NewGrain(), Gate.New());
        await using var watch = grain.Watch(gate.Name).GetAsyncEnumerator();
        Assert.True(await watch.MoveNextAsync());
        var next = watch.MoveNextAsync().AsTask();
        await gate.Reached;
        Assert.Equal(2, await grain.Add(1, 1));
        gate.Open();
        Assert.True(await next);
        Assert.Equal("second", watch.Current);
    }

    private static async Task<List<T>> ToListAsync<T>(IAsyncEnumerable<T> items)
    {
        var list = new List<T>();
        await foreach (var item in items) list.Add(item);
        return list;
    }
}
