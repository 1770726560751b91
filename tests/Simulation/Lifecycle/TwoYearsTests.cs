using System.Diagnostics;
using System.Globalization;
using DarkStorage.TestKit;
using Xunit;

namespace DarkStorage.Simulation.Lifecycle;

/// <summary>Two years of a node's life in some minutes: the program as it is, under a clock that the test sets forward. <c>DARKSTORAGE_TEST_SEED</c> repeats the contents, <c>DARKSTORAGE_TEST_OBJECTS</c> says how many objects there are.</summary>
public sealed class TwoYearsTests(ITestOutputHelper output)
{
    private static readonly int Objects = Seeds.Count("DARKSTORAGE_TEST_OBJECTS", 200_000);

    /// <summary>Days since the beginning on which all is looked at. None is within a day of what a rule turns on.</summary>
    private static readonly int[] Days = [5, 40, 95, 97, 110, 130, 230, 297, 302, 370, 510, 650, 730];

    [Fact]
    public async Task Every_object_is_where_its_rules_say_through_two_years_and_each_byte_is_intact()
    {
        var seed = Seeds.Next();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"DARKSTORAGE_TEST_SEED={seed} DARKSTORAGE_TEST_OBJECTS={Objects}"));
        var watch = Stopwatch.StartNew();
        await using var world = await AgeingWorld.StartAsync(seed);
        var things = Enumerable.Range(0, Objects).Select(n => new Thing(n, seed)).ToList();
        await world.PutAsync(things.Where(t => t.MadeOn == 0));
        output.WriteLine($"{watch.Elapsed.TotalSeconds:F0} s: the first are put");
        var today = 0;
        foreach (var day in Days)
        {
            foreach (var wave in things.Where(t => t.MadeOn > today && t.MadeOn <= day).GroupBy(t => t.MadeOn))
            {
                await world.GoToAsync(wave.Key);
                await world.PutAsync(wave);
            }
            await world.GoToAsync(day);
            var moved = 0;
            foreach (var thing in things)
            {
                var before = thing.Place;
                thing.Age(day);
                if (thing.Place != before) moved++;
            }
            var speed = await world.SettleAsync();
            await world.AssertPlacesAsync(things.Where(t => t.MadeOn <= day).ToList());
            output.WriteLine($"{watch.Elapsed.TotalSeconds:F0} s: day {day}, {moved} moved or expired, {speed:N0} decisions/s in a run that found nothing to do");
            // When all is where it belongs: what is read while it is decided on may be gone before, or not.
            await world.ReadAsync(things.SelectMany(t => t.Reads.Where(r => r.Day == day).Select(r => (t, r.Count))));
            today = day;
        }
        Assert.All(Enum.GetValues<Place>(), place => Assert.Contains(things, t => t.Place == place));

        await world.AssertBytesOutsideAsync(things);
        await world.BringBackAsync(things.Where(t => t.Place is Place.Archive or Place.Offsite).ToList());
        await world.AssertContentAsync(things.Where(t => t.Place != Place.Gone).ToList());
        output.WriteLine($"{watch.Elapsed.TotalSeconds:F0} s: each byte was read");
    }
}
